"""Names that are words of everyday English, too, and in small letters are likelier the word.

A desk's own words are known from its pack (`desk.own_names`). These are what customers write of
bills, colours, months and measures that no answer may have. Alone and in small letters such a word
tells nobody who wrote it, even where it was meant as a name.
"""

from __future__ import annotations

_WORDS = """
amber april art august autumn bank banks bell bent best bill black bridge bright brown bush case
cash chance chase church cook cross day don drew early even fair faith field fields ford fox frost
glass gold good grace grand grant gray green grey guy hall hand head hill hills home hope house hunt
hurt ill ivory joy june justice key king lake lane law light little lock long love low major march
mark marks marsh may miles mills min moon moss nice night noble odd olive page park parks penny pink
post pound power powers price rain read reed rich ring rivers rose round ruby sage sale self sharp
ship short silver small snow sparks spring star still stone storm street strong sue summer sunny
swift sweet town true trust van violet wall ward waters way weeks welcome wells west white wild will
winter wise wish wood woods worth young
"""
NAME_WORDS = frozenset(_WORDS.split())
