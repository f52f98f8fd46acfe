"""When a DAG runs, as Airflow knows it. Every timetable gives exact data intervals: each begins where one ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from elt_factory.config.mistakes.across import same_clock
from elt_factory.config.models.schedule import Schedule
from elt_factory.config.models.source import Config
from elt_factory.core.window import Window
from elt_factory.dag.asset_events import windows_of

if TYPE_CHECKING:
    from airflow.timetables.base import Timetable
    from airflow.timetables.interval import CronDataIntervalTimetable


def no_one(_: str) -> Config | None:
    """Return None: no other config is known."""
    return None


def schedule_of(
    config: Config, tables_of: Mapping[str, tuple[str, ...]], clock_of: Callable[[str], Config | None] = no_one
) -> Any:
    """Return what a DAG is scheduled by.

    Args:
        config: The config.
        tables_of: Every source's tables by its name, for a schedule that waits for all of a source.
        clock_of: The config whose times are those of a source: its own, or that of one that it waits for.
    """
    schedule = config.schedule
    if schedule is None:
        return None
    if schedule.assets:
        return _of_assets(schedule, tables_of, clock_of)
    if schedule.single_cron and config.end_date is None:
        from airflow.sdk import CronDataIntervalTimetable

        return CronDataIntervalTimetable(schedule.single_cron, timezone=config.timezone)
    return _of_its_own(config, schedule)


def _of_assets(
    schedule: Schedule, tables_of: Mapping[str, tuple[str, ...]], clock_of: Callable[[str], Config | None]
) -> Any:
    """Return a schedule by assets: a run starts for a window once all of them have loaded it.

    The key of their events is the window. The windows of the runs are those of the first source; those of others are
    put together, or divided.
    """
    from airflow.sdk import AssetAll, PartitionedAssetTimetable

    mappers: dict[Any, Any] = {}
    found: list[Any] = []
    first = clock_of(next(iter(schedule.awaited)))
    for source, tables in schedule.awaited.items():
        mapper = _mapper(first, clock_of(source))
        assets = [windows_of(source, table) for table in tables or tables_of.get(source, ())]
        found += assets
        mappers |= {asset: mapper for asset in assets if mapper}
    return PartitionedAssetTimetable(assets=AssetAll(*found), partition_mapper_config=mappers) if found else None


def _mapper(wanted: Config | None, own: Config | None) -> Any:
    """Return how windows of a source become those of another; None where they are the same."""
    if wanted is None or own is None or wanted.timetable is None or own.timetable is None:
        return None
    if same_clock(wanted, own):
        return None
    from elt_factory.dag.partitions import WindowsMapper

    return WindowsMapper(_core(wanted, wanted.timetable), _core(own, own.timetable))


def last_interval(config: Config, now: datetime) -> tuple[datetime, datetime]:
    """Return the last complete interval of a schedule, as Airflow itself counts it, changes of the clock included.

    Of a config that ends it is the last one that begins before the end.

    Raises:
        ValueError: the config has no schedule of times.
    """
    if config.timetable is None:
        raise ValueError(f"{config.name} has no schedule of times")
    if config.timetable.single_cron and config.end_date is None:
        return _last_of_cron(config.timetable.single_cron, config.timezone, now)
    return _last(_core(config, config.timetable), now)


@lru_cache(maxsize=256)
def _last_of_cron(text: str, zone: str, now: datetime) -> tuple[datetime, datetime]:
    """Return the last interval of a cron: many sources have the same one."""
    return _last(_cron(text, zone), now)


def _last(timetable: Timetable, now: datetime) -> tuple[datetime, datetime]:
    from pendulum import instance

    interval = timetable.infer_manual_data_interval(run_after=instance(now))
    return interval.start, interval.end


def intervals(config: Config, within: Window) -> Iterator[Window]:
    """Yield the intervals of a schedule that begin within a window, as the scheduler and Airflow's backfill have them.

    Raises:
        ValueError: the config has no schedule of times.
    """
    from airflow.timetables.base import TimeRestriction
    from pendulum import instance

    if config.timetable is None:
        raise ValueError(f"{config.name} has no schedule of times")
    core = _core(config, config.timetable)
    restriction, last = TimeRestriction(instance(within.start), None, catchup=True), None
    while info := core.next_dagrun_info(last_automated_data_interval=last, restriction=restriction):
        last = info.data_interval
        if last is None or last.start >= within.end:
            return
        yield Window(last.start, last.end)


def _core(config: Config, schedule: Schedule) -> CronDataIntervalTimetable:
    if schedule.single_cron and config.end_date is None:
        return _cron(schedule.single_cron, config.timezone)
    return _of_its_own(config, schedule)


@lru_cache(maxsize=256)
def _cron(text: str, zone: str) -> CronDataIntervalTimetable:
    from airflow.timetables.interval import CronDataIntervalTimetable

    return CronDataIntervalTimetable(text, timezone=zone)


def end_of(config: Config) -> datetime | None:
    """Return the end of the last day with data, where the config has one."""
    if config.end_date is None:
        return None
    return datetime.combine(config.end_date + timedelta(days=1), time(), ZoneInfo(config.timezone))


def _of_its_own(config: Config, schedule: Schedule) -> CronDataIntervalTimetable:
    # imports Airflow's core, which only configs with such a schedule pay for
    from elt_factory.dag.core_timetables import CalendarTimetable, EveryTimetable

    if schedule.every:
        anchor = datetime.combine(config.start_date, time(), ZoneInfo(config.timezone))
        return EveryTimetable(schedule.every, anchor, end_of(config))
    holidays = tuple(str(day) for day in schedule.holidays)
    return CalendarTimetable(schedule.cron or (), config.timezone, schedule.business_days, holidays, end_of(config))
