"""A real Envoy with Larder, and an origin for it: what demo, soak, benchmark and conformance start.

`find` says where the binary and the module are, `template` fills envoy/envoy.yaml in, `process` starts Envoy, asks its
admin page and sees to its end, `origin` is a server whose pages each of them makes as it likes. `python3 -m stand` is for
programs in other languages.
"""
