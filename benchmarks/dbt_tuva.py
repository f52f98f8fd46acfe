"""The Tuva project (tuva-health/tuva) made ready for `dbt_speed.py`: a real dbt project with claims that are made up.

`python benchmarks/dbt_tuva.py PACKAGES INTO [--lines N]` expects in PACKAGES the checkouts `tuva`, `dbt_utils`,
`dbt_expectations` and `dbt_date`, and makes in INTO the project that Tuva tests itself with. Its seeds are empty in the
repository, and filled from a bucket by a hook; here the same hook fills them from files with generated rows. The models
are as they are in the repository.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import duckdb

PACKAGES = ("dbt_utils", "dbt_expectations", "dbt_date")
LEFT_OUT = shutil.ignore_patterns(".git*", "integration_tests", "docs", "target")
# What Tuva's hook calls on DuckDB; there it reads a bucket
LOAD = """
{{% macro duckdb__load_seed(uri, pattern, compression, headers, null_marker) %}}
  {{% set file = '{folder}/' ~ pattern ~ '.parquet' %}}
  {{% if execute and run_query("select count(*) from glob('" ~ file ~ "')").columns[0].values()[0] %}}
    {{% set rows = "from read_parquet('" ~ file ~ "', hive_partitioning = false)" %}}
    {{% do run_query("insert into " ~ this ~ " by name " ~ rows) %}}
  {{% endif %}}
{{% endmacro %}}
"""
# What the claims below have: name of the seed's file, query
CODES = {
    "bill_type": "select code as bill_type_code, code as bill_type_description from bills",
    "revenue_center": "select code as revenue_center_code, code as revenue_center_description from revenues",
    "place_of_service": "select code as place_of_service_code, code as place_of_service_description from places",
    "ms_drg": "select format('{:03d}', n) as ms_drg_code, format('{:02d}', n % 25 + 1) as mdc_code, "
    "if(n % 2 = 0, 'M', 'P') as medical_surgical, 'group ' || n as ms_drg_description, 0 as deprecated "
    "from range(1, 1000) r(n)",
    "discharge_disposition": "select format('{:02d}', n) as discharge_disposition_code, 'way ' || n as "
    "discharge_disposition_description from range(1, 8) r(n)",
    "admit_type": "select n::varchar as admit_type_code, 'type ' || n as admit_type_description from range(1, 6) r(n)",
    "admit_source": "select n::varchar as admit_source_code, 'source ' || n as admit_source_description "
    "from range(1, 9) r(n)",
    "icd_10_cm": "select code as icd_10_cm, 1 as billable_code_flag, 'condition ' || code as short_description, "
    "'condition ' || code as long_description from conditions",
    "provider": "select (1000000000 + n)::varchar as npi, (n % 2 + 1)::varchar as entity_type_code, "
    "'207Q00000X' as primary_taxonomy_code, 'specialty ' || n % 40 as primary_specialty_description, "
    "'first ' || n as provider_first_name, 'last ' || n as provider_last_name, 0 as deactivation_flag "
    "from range(2000) r(n)",
}
LISTS = """
create table bills as select unnest(['111', '112', '117', '121', '131', '141', '181', '211', '221', '321', '331', '721',
    '731', '741', '761', '811', '821', '831', '851']) as code;
create table revenues as select unnest(['0100', '0111', '0120', '0173', '0250', '0300', '0320', '0360', '0450', '0459',
    '0490', '0513', '0540', '0650', '0655', '0762', '0821', '0905', '0981']) as code;
create table places as select unnest(['02', '10', '11', '12', '15', '19', '20', '21', '22', '23', '24', '31', '32',
    '34', '41', '51', '53', '55', '57', '61', '62', '65', '81']) as code;
create table conditions as select chr(65 + (n % 26)::int) || format('{:02d}', n // 26 % 100) || (n % 10) as code
    from range(2600) r(n);
create table procedures as select unnest(['99213', '99214', '99283', '99285', '97110', '90999', '70450', '36415',
    'A0425', 'E0601', 'J1100', '45378', '90834', 'H0015', '59400', 'G0299']) as code;
"""
CLAIMS = """
select 'C' || claim as claim_id, line as claim_line_number,
    if(h % 3 = 0, 'institutional', 'professional') as claim_type,
    'P' || person as person_id, 'P' || person as member_id, 'medicare' as payer, 'medicare' as plan,
    began as claim_start_date, began + days as claim_end_date,
    began + line::int % (days + 1) as claim_line_start_date, began + line::int % (days + 1) as claim_line_end_date,
    if(inpatient, began, null) as admission_date, if(inpatient, began + days, null) as discharge_date,
    if(inpatient, (h // 11 % 8 + 1)::varchar, null) as admit_source_code,
    if(inpatient, (h // 13 % 5 + 1)::varchar, null) as admit_type_code,
    if(h % 3 = 0, format('{{:02d}}', h // 17 % 7 + 1), null) as discharge_disposition_code,
    if(h % 3 = 0, null, getvariable('places')[(h // 19 % {places} + 1)::int]) as place_of_service_code,
    bill as bill_type_code, if(inpatient, 'ms-drg', null) as drg_code_type,
    if(inpatient, format('{{:03d}}', h // 23 % 999 + 1), null) as drg_code,
    if(h % 3 = 0, getvariable('revenues')[(g // 29 % {revenues} + 1)::int], null) as revenue_center_code,
    1 as service_unit_quantity, getvariable('procedures')[(g // 31 % {procedures} + 1)::int] as hcpcs_code,
    (1000000000 + h // 37 % 2000)::varchar as rendering_npi, (1000000000 + h // 41 % 2000)::varchar as billing_npi,
    (1000000000 + h // 43 % 2000)::varchar as facility_npi, began + 30 as paid_date,
    (g % 90000) / 100.0 as paid_amount, (g % 99000) / 100.0 as allowed_amount, (g % 150000) / 100.0 as charge_amount,
    (g % 99000) / 100.0 as total_cost_amount, 'icd-10-cm' as diagnosis_code_type,
    getvariable('conditions')[(h // 47 % 2600 + 1)::int] as diagnosis_code_1,
    getvariable('conditions')[(h // 53 % 2600 + 1)::int] as diagnosis_code_2,
    getvariable('conditions')[(h // 59 % 2600 + 1)::int] as diagnosis_code_3,
    1 as in_network_flag, 'made up' as data_source, 'claims.csv' as file_name, date '2024-01-01' as file_date
from (
    select *, if(h % 3 = 0, getvariable('bills')[(h // 3 % {bills} + 1)::int], null) as bill,
        coalesce(bill in ('111', '112', '117', '181', '211'), false) as inpatient,
        date '2021-01-01' + (h // 7 % 1000)::int as began, if(inpatient, (h // 5 % 9)::int + 1, 0) as days
    from (
        select n // 4 as claim, n % 4 + 1 as line, (hash(n // 4) // 2)::bigint as h, (hash(n) // 2)::bigint as g,
            h // 61 % {persons} as person from range({lines}) r(n)
    )
)
"""
PERSONS = """
select 'P' || n as person_id, 'P' || n as member_id, 'P' || n as subscriber_id,
    if(n % 2 = 0, 'female', 'male') as gender, date '1940-01-01' + (n * 7 % 25000)::int as birth_date, 0 as death_flag,
    date '2021-01-01' as enrollment_start_date, date '2023-12-31' as enrollment_end_date, 'medicare' as payer,
    'medicare' as payer_type, 'medicare' as plan, 'first ' || n as first_name, 'last ' || n as last_name,
    'made up' as data_source, 'people.csv' as file_name, date '2024-01-01' as file_date from range({persons}) r(n)
"""
DRUGS = """
select 'R' || n as claim_id, 1 as claim_line_number, 'P' || n % {persons} as person_id,
    'P' || n % {persons} as member_id,
    'medicare' as payer, 'medicare' as plan, (1000000000 + n % 2000)::varchar as prescribing_provider_npi,
    date '2021-01-01' + (n * 13 % 1000)::int as dispensing_date, format('{{:011d}}', n % 5000) as ndc_code,
    30 as quantity, 30 as days_supply, date '2021-01-01' + (n * 13 % 1000)::int as paid_date, 12.5 as paid_amount,
    15.0 as allowed_amount, 'made up' as data_source, 'drugs.csv' as file_name, date '2024-01-01' as file_date
from range({lines} // 4) r(n)
"""


def generate(folder: Path, lines: int) -> None:
    """Write the rows of the seeds: as many lines of claims, for a person 20 of them."""
    folder.mkdir(parents=True)
    with duckdb.connect() as made:
        made.execute(LISTS)
        given = {"lines": lines, "persons": max(lines // 20, 1)}
        for name in ("bills", "revenues", "places", "procedures", "conditions"):
            made.execute(f"set variable {name} = (select list(code order by code) from {name})")
            given[name] = made.table(name).shape[0]
        claims = {"medical_claim_small": CLAIMS, "eligibility_small": PERSONS, "pharmacy_claim_small": DRUGS}
        queries = CODES | {name: query.format(**given) for name, query in claims.items()}
        for name, query in queries.items():
            made.execute(f"copy ({query}) to '{folder}/{name}.csv.parquet'")


def main() -> None:
    """Make the project."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", type=Path)
    parser.add_argument("into", type=Path)
    parser.add_argument("--lines", type=int, default=2_000_000)
    given = parser.parse_args()
    into = given.into.resolve()
    shutil.copytree(given.packages / "tuva" / "integration_tests", into)
    (into / "packages.yml").unlink()
    shutil.copytree(given.packages / "tuva", into / "dbt_packages" / "the_tuva_project", ignore=LEFT_OUT)
    for name in PACKAGES:
        shutil.copytree(given.packages / name, into / "dbt_packages" / name, ignore=LEFT_OUT)
    data = into.with_name(into.name + ".data")
    (into / "macros" / "local_seeds.sql").write_text(LOAD.format(folder=data))
    generate(data, given.lines)


if __name__ == "__main__":
    main()
