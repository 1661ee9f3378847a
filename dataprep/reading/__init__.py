"""From files of seven formats to tables of documents: readers, fields, records, limits."""
