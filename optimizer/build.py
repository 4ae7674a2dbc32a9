"""Builds the program of a scenario: its variables, its objective and every constraint."""

import pulp

from optimizer import constraints, feasibility, terms
from optimizer.options import Block, PayAsYouGo, Server
from optimizer.policies import Policy
from optimizer.program import Program, summed
from optimizer.scenario import Scenario


def build(
    scenario: Scenario,
    *,
    policy: Policy,
    pairs: frozenset[tuple[str, str]],
    forbidden: frozenset[tuple[str, str]] = frozenset(),
) -> Program:
    """The program of a scenario under a policy, with every constraint of docs/model.md."""
    program = Program(scenario, policy, pairs, forbidden)
    _add_use(program)
    _add_purchases(program)
    _add_covers(program)
    _add_sites(program)
    _add_places(program)
    _set_objective(program)
    for constraint in constraints.CONSTRAINTS:
        constraint(program)
    return program


def _add_use(p: Program) -> None:
    """x and a."""
    for i, w in enumerate(p.scenario.workloads):
        for j, o in enumerate(p.scenario.options):
            if (w.name, o.name) in p.dropped:
                continue
            for t in p.period:
                if not p.permitted(w, o, t):
                    continue
                if isinstance(o, PayAsYouGo) and terms.is_available(p.scenario, o, t):
                    kind, family = "x", p.x
                elif not isinstance(o, PayAsYouGo) and any(_can_stand(p, o, m) for m in p.period[t]):
                    kind, family = "a", p.a
                else:
                    continue
                for b in p.blocks:
                    for s in p.courses:
                        variable = p.problem.add_variable(f"{kind}_w{i}_o{j}_t{t:02d}_b{b}_s{s}", lowBound=0)
                        family[w.name, o.name, t, b, s] = variable
                        p.serving[w.name, t, b, s].append((o, variable))
                        p.using[o.name, t, b, s].append((w, variable))


def _add_purchases(p: Program) -> None:
    """y: each month of a quarter for what is kept by the month, else its first."""
    used = {option for _, option, *_ in p.a}
    for j, k in enumerate(p.scenario.options):
        if isinstance(k, PayAsYouGo) or k.name not in used:
            continue
        for t, period in p.period.items():
            together = period if k.kind == "monthly" else period[:1]
            bought = [m for m in together if terms.may_be_bought(p.scenario, k, m)]
            if bought:
                y = p.problem.add_variable(f"y_o{j}_t{t:02d}", lowBound=0, cat=pulp.LpInteger)
                p.y |= {(k.name, m): y for m in bought}


def _add_covers(p: Program) -> None:
    """q, where the policy lets new commitments be entered, and e."""
    for j, commitment in enumerate(p.scenario.spend_commitments):
        if p.policy.may_commit:
            for t in p.period:
                if terms.may_be_promised(p.scenario, commitment, t):
                    p.q[commitment.name, t] = p.problem.add_variable(f"q_j{j}_t{t:02d}", lowBound=0)
        for i, o in enumerate(p.scenario.options):
            if o.name not in commitment.discount_ratio:
                continue
            for t in p.period:
                if not any(p.promised(commitment, t)):
                    continue
                for b in p.blocks:
                    for s in p.courses:
                        if p.using.get((o.name, t, b, s)):
                            name = f"e_j{j}_o{i}_t{t:02d}_b{b}_s{s}"
                            p.e[commitment.name, o.name, t, b, s] = p.problem.add_variable(name, lowBound=0)


def _add_sites(p: Program) -> None:
    """open and held."""
    for j, site in enumerate(p.scenario.sites):
        servers = [k for k in p.scenario.blocks if isinstance(k, Server) and k.site == site.name]
        for t, period in p.period.items():
            standing = [k for k in servers if any(any(p.active(k, m)) for m in period)]
            if not site.spare or not standing:
                continue
            is_open = p.problem.add_variable(f"open_g{j}_t{t:02d}", cat=pulp.LpBinary)
            p.open |= {(site.name, m): is_open for m in period}
            for k in standing:
                name = f"held_o{p.scenario.options.index(k)}_t{t:02d}"
                held = p.problem.add_variable(name, lowBound=0, cat=pulp.LpInteger)
                p.held |= {(k.name, m): held for m in period}


def _add_places(p: Program) -> None:
    """z and move, only for workloads whose rules speak of locations."""
    for i, w in enumerate(p.scenario.workloads):
        if not terms.has_places(w):
            continue
        used = {option for family in (p.x, p.a) for name, option, *_ in family if name == w.name}
        places = list(
            dict.fromkeys(terms.location(o) for o in p.scenario.options if o.name in used or o.name == w.today)
        )
        for t in p.period:
            for g, place in enumerate(places):
                p.z[w.name, place, t] = p.problem.add_variable(f"z_w{i}_g{g}_t{t:02d}", cat=pulp.LpBinary)
        if w.moving is None:
            continue
        for t in p.period:
            if t == 0 and w.today is None:
                continue  # it starts where it likes
            for f, origin in enumerate(places):
                for g, place in enumerate(places):
                    if f != g:
                        name = f"move_w{i}_f{f}_g{g}_t{t:02d}"
                        p.move[w.name, origin, place, t] = p.problem.add_variable(name, lowBound=0, upBound=1)


def _can_stand(p: Program, option: Block, month: int) -> bool:
    first = feasibility.first_month(p.scenario, option)
    return (
        first is not None
        and first <= month
        and (
            terms.standing(option, month) > 0
            or any(
                terms.may_be_bought(p.scenario, option, t) and terms.serves(option, t, month) for t in range(month + 1)
            )
        )
    )


def _set_objective(p: Program) -> None:
    """(1 - lambda) sum_s p[s] cost[s] + lambda (eta + sum_s p[s] xi[s] / tail)."""
    averse = float(p.scenario.risk_aversion_ratio)
    parts, constant = p.first_stage_cost()
    mean = [(variable, (1 - averse) * amount) for variable, amount in parts]
    for s in p.courses:
        mean += [(variable, (1 - averse) * p.probability(s) * amount) for variable, amount in p.course_cost(s)]
    if averse:
        p.eta = p.problem.add_variable("eta", lowBound=None)
        mean.append((p.eta, averse))
        for s in p.courses:
            p.xi[s] = p.problem.add_variable(f"xi_s{s}", lowBound=0)
            mean.append((p.xi[s], averse * p.probability(s) / float(p.scenario.risk_tail_ratio)))
    p.problem.setObjective(summed(mean) + (1 - averse) * constant)
