"""The postmortem draft: what records show, cited sentence by sentence, and left open where people decide."""
