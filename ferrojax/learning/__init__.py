"""What to label next: exploration, uncertainty, selection."""
