"""Codecs of the links to hardware, both directions, without sockets."""
