"""Requests with something wrong in them: read here when the usual decoders refuse them, so that one value costs no other span."""
