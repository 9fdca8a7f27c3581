"""The events on the wire: one module per topic, the decoder and encoder, topics as data.

`decode` reads a record into an event as the rules see it; `encode_record` writes one; `registry` lists every type.
"""
