"""What is wrong with a table, whose problem it is, and what to do: facts, rules, verdicts.

Three steps, each importable without the command line:

- `gather.gather(...)` reads the configs, the audit tables and Airflow's database, a few statements for all tables
  together, and returns `Facts` for each table. It is the only step that reads anything.
- `states.state_of(facts)` is the state of a table in one word, with a sentence; `states.overview(all)` of all tables.
- `verdicts.diagnose(facts)` is the verdict: the cause, the evidence, the next command, whose problem it is.
"""
