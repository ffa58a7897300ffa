"""The names that the declaration, the steps and the tests share: features, weather columns, code lists.

Nothing heavy is imported here, because the declaration reads it whenever Airflow parses a DAG file.
"""

ZONE = "America/New_York"  # of all three origins

ORIGINS = ("EWR", "JFK", "LGA")

# Categories are numbered by their place in the alphabet: no code depends on the data that is at hand.
CARRIERS = tuple("9E AA AS B6 DL EV F9 FL HA MQ OO UA US VX WN YV".split())
DESTINATIONS = tuple(
    (
        "ABQ ACK ALB ANC ATL AUS AVL BDL BGR BHM BNA BOS BQN BTV BUF BUR BWI BZN CAE CAK CHO CHS CLE CLT CMH CRW "
        "CVG DAY DCA DEN DFW DSM DTW EGE EYW FLL GRR GSO GSP HDN HNL HOU IAD IAH ILM IND JAC JAX LAS LAX LEX LGA "
        "LGB MCI MCO MDW MEM MHT MIA MKE MSN MSP MSY MTJ MVY MYR OAK OKC OMA ORD ORF PBI PDX PHL PHX PIT PSE PSP "
        "PVD PWM RDU RIC ROC RSW SAN SAT SAV SBN SDF SEA SFO SJC SJU SLC SMF SNA SRQ STL STT SYR TPA TUL TVC TYS "
        "XNA"
    ).split()
)

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

AIRPORT_FEATURES = (
    "origin_departures",
    "origin_departure_delay",  # mean minutes
    "origin_cancellations",
    "carrier_departure_delay",
    "destination_arrival_delay",
)

FEATURES = (*SCHEDULE_FEATURES, *WEATHER, *AIRCRAFT_FEATURES, *AIRPORT_FEATURES)
