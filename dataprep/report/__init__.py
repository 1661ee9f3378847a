"""What a run says of itself: report.json, the page, and `explain`."""
