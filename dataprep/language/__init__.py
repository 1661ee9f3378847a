"""Which language a document, or a paragraph of it, is written in."""
