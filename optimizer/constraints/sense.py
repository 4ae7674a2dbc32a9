"""Which way a row points, and what it is made of."""

from pulp import LpConstraintEQ, LpConstraintGE, LpConstraintLE, LpVariable

EQUAL, AT_LEAST, AT_MOST = LpConstraintEQ, LpConstraintGE, LpConstraintLE
Parts = list[tuple[LpVariable, float]]
