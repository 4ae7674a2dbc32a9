"""The cheapest fleet of accelerators for a mix of request sizes that is cut in slices, each wholly on one type.

The problem of Griggs et al., "Melange: Cost Efficient LLM Serving by Exploiting GPU Heterogeneity", arXiv 2404.14527.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import pulp
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from finops.errors import InputError
from optimizer.options import Record
from optimizer.solve import gap_ratio

Share = Annotated[float, Field(ge=0)]
GAP_RATIO = 1e-9


class Gpu(Record):
    """What one accelerator costs per hour, and the requests per second it serves of each request size."""

    cost: Annotated[Decimal, Field(ge=0)]
    tputs: tuple[tuple[Share, ...], ...]


class FleetCase(Record):
    """Request sizes (input by output length) with their shares of a total rate, cut in slices, and the accelerators."""

    gpu_info: Annotated[dict[str, Gpu], Field(min_length=1)]
    workload_distribution: tuple[tuple[Share, ...], ...]
    total_request_rate: Annotated[float, Field(ge=0)]
    slice_factor: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _same_shape(self) -> "FleetCase":
        shape = [len(row) for row in self.workload_distribution]
        for name, gpu in self.gpu_info.items():
            if [len(row) for row in gpu.tputs] != shape:
                raise ValueError(f"tputs of {name} have other rows or columns than workload_distribution")
        return self


@dataclass(frozen=True)
class Fleet:
    """How many accelerators of each type, what they cost per hour, and how far from the best that may be."""

    status: str
    cost_usd_per_hour: Decimal
    fleet: dict[str, int]
    gap_ratio: float


def load_case(file: Path) -> FleetCase:
    """The case of a JSON file; raises InputError for one that is missing, no JSON, or of another layout."""
    try:
        return TypeAdapter(FleetCase).validate_python(json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal))
    except OSError as error:
        found = f"{file} cannot be read ({error.strerror})"
    except json.JSONDecodeError as error:
        found = f"{file} is not JSON: {error}"
    except ValidationError as error:
        found = f"{file}: " + "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
    raise InputError(
        found,
        expected="gpu_info (cost, tputs), workload_distribution, total_request_rate and slice_factor",
        next_step="correct the case file",
    )


def cheapest_fleet(case: FleetCase, *, time_limit_s: float = 60) -> Fleet:
    """The fleet of least cost that carries every slice.

    minimise sum_g cost[g] count[g] such that, with load[i,j,g] = slice rate / throughput:
    fleet_slices[i,j]: sum_g slices[i,j,g] = slice_factor; fleet_capacity[g]: sum_ij load slices <= count[g].
    Raises InputError when a request size that occurs is served by no type.
    """
    problem = pulp.LpProblem("fleet", pulp.LpMinimize)
    counts = {g: problem.add_variable(f"count_{k}", 0, cat=pulp.LpInteger) for k, g in enumerate(case.gpu_info)}
    problem.setObjective(pulp.LpAffineExpression({n: float(case.gpu_info[g].cost) for g, n in counts.items()}))
    loads: dict[str, dict[pulp.LpVariable, float]] = {g: {} for g in counts}
    for i, row in enumerate(case.workload_distribution):
        for j, share in enumerate(row):
            rate = share * case.total_request_rate / case.slice_factor
            if rate <= 0:
                continue
            able = {g: gpu.tputs[i][j] for g, gpu in case.gpu_info.items() if gpu.tputs[i][j] > 0}
            if not able:
                raise InputError(
                    f"requests of input size {i}, output size {j} are served by no accelerator",
                    expected="a throughput above zero on at least one type for each size that occurs",
                    next_step="add a type that can serve them, or take them out of workload_distribution",
                )
            slices = {
                g: problem.add_variable(f"slices_{i}_{j}_{k}", 0, case.slice_factor, cat=pulp.LpInteger)
                for k, g in enumerate(counts)
                if g in able
            }
            problem.addConstraint(
                pulp.LpConstraint(
                    pulp.LpAffineExpression(dict.fromkeys(slices.values(), 1.0)),
                    pulp.LpConstraintEQ,
                    f"fleet_slices_{i}_{j}",
                    case.slice_factor,
                )
            )
            for g, variable in slices.items():
                loads[g][variable] = rate / able[g]
    for k, (g, load) in enumerate(loads.items()):
        expression = pulp.LpAffineExpression({**load, counts[g]: -1.0})
        problem.addConstraint(pulp.LpConstraint(expression, pulp.LpConstraintLE, f"fleet_capacity_{k}", 0.0))
    problem.solve(pulp.HiGHS(msg=False, gapRel=GAP_RATIO, timeLimit=time_limit_s, threads=1, random_seed=1))
    info = problem.solverModel.getInfo()
    gap = gap_ratio(float(info.objective_function_value), float(info.mip_dual_bound))
    if problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        raise InputError(
            f"no fleet was found within {time_limit_s:g} s",
            expected="a case of a size that can be solved",
            next_step="use fewer slices or fewer request sizes",
        )
    fleet = {g: n for g, count in counts.items() if (n := round(count.varValue or 0))}
    cost = sum((case.gpu_info[g].cost * n for g, n in fleet.items()), Decimal(0))
    return Fleet("optimal" if gap <= GAP_RATIO else "feasible", cost, fleet, gap)
