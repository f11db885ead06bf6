"""Tables, statistics and the page that compares runs."""
