"""From the bytes of a web page to its text: the scan, the article, code and equations."""
