"""Will a flight out of New York land 15 or more minutes late?  Asked two hours before departure."""

from flights_data import read_flights, read_planes, read_weather
from sklearn.ensemble import HistGradientBoostingClassifier

from incumbent import (Gate, Label, Model, Policy, Source, after, before, col, derived, drifted, each, latest, older,
                       request, window, within, worse)

flights = Source(
    "flights", read=read_flights, key=["scheduled_departure", "carrier", "flight"], event_time="scheduled_departure",
    available_at=before("scheduled_departure", "1d"),
    later={"departed_at": ["dep_delay"], "landed_at": ["arr_delay", "air_time"]},
    derive={"late": col("arr_delay") >= 15},
)
weather = Source("weather", read=read_weather, key=["origin", "observed_at"], event_time="observed_at", entity="origin",
                 available_at=after("observed_at", "10m"), expect=[within("wind_speed", 0, 200)])
planes = Source("planes", read=read_planes, key="tailnum", entity="tailnum", timeless=True)
hour_of_day = col("scheduled_departure").dt.convert_time_zone("America/New_York").dt.hour().alias("hour_of_day")

late_flights = Model(
    "late-flights", owner="ops@example.com", purpose="rebook connections in time", task="binary",
    spine=each(flights, as_of=before("scheduled_departure", "2h")),
    label=Label("late", deadline="2d"),
    features=[request("carrier", "origin", "dest", "distance"), derived(hour_of_day), latest(planes, "seats", "built"),
              latest(weather, "visib", "wind_speed", "precip", ttl="6h"),
              window(flights, delay=col("arr_delay").mean(), over=["6h", "24h"], by=["carrier", "origin"])],
    gate=Gate("brier", at_most=0.20, slices=["origin"]),
    policy=Policy(every="7d", retrain=drifted().for_(2) | worse("2%") | older("60d"), rollback=worse("5%")),
)
late_flights.fit(HistGradientBoostingClassifier())
