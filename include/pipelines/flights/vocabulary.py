"""The names that the declaration and the steps share.

Nothing heavy is imported here, because the declaration reads it whenever Airflow parses a DAG file.
"""

ZONE = "America/New_York"  # of all three origins

WEATHER = (
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)

SCHEDULE_FEATURES = (
    "departure_minute",  # of the New York day
    "weekday",  # 0 is Monday
    "block_minutes",  # scheduled gate to gate
    "distance",  # miles
    "carrier_code",
    "origin_code",
    "destination_code",
)

AIRCRAFT_FEATURES = (
    "last_arrival_delay",  # minutes
    "last_departure_delay",  # minutes
    "arrival_delay_trend",  # minutes: the newest four arrivals, each weighing half as much as the one after it
    "hours_since_arrival",
    "airborne",  # 1 while the newest departure has not ended
    "slack_minutes",  # from the return of the last leg, if it turns round at once, to this departure
    "legs_today",  # departures of the New York day before
    "last_cancelled",  # 1 when the newest leg to be settled was cancelled
)

AIRPORT_FEATURES = (  # delays are mean minutes; of three hours, unless they say otherwise
    "origin_departures",
    "origin_departure_delay",
    "origin_cancellations",
    "origin_overdue",  # flights that should have left in the last six hours, and wait
    "origin_overdue_minutes",  # all these together
    "carrier_departure_delay",
    "destination_arrival_delay",
    "destination_delay_of_day",  # arrivals of 24 hours
    "destination_gain_of_day",  # what they added to their delay after they had left
    "route_delay_of_day",  # the same of the carrier's arrivals at the destination
    "route_gain_of_day",
    "same_flight_delay",  # arrivals of this flight number in 36 hours
)

FEATURES = (*SCHEDULE_FEATURES, *WEATHER, *AIRCRAFT_FEATURES, *AIRPORT_FEATURES)
