"""Raw text in, a cleaned and deduplicated corpus with a reason for every document out."""
