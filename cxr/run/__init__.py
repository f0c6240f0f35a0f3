"""What a run stands on: devices, processes, schedules, tables, report.json."""
