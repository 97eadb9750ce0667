"""Of the one class that a handler makes without arguments, and no more."""

from tiny_net import TinyNet


class Colours(TinyNet):
    pass
