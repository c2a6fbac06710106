"""What ferroelectrics groups measure: hysteresis and its numbers."""
