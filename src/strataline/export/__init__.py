"""Tables to what people read. One module per target; log text is hostile in all of them (`export.escape`)."""
