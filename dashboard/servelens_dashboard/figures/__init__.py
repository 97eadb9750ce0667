"""Pictures from data, one kind a module: pure, and without a page's components.

Each module draws (`draw`, a Plotly figure) and tells (`tell`, the same as a sentence and a table
for those who do not see it). Colours that are chosen in the browser are those of `recolouring`.
"""
