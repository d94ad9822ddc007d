import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tickmux.tick import Mode
from tickmux.websocket_proxy.subscription_index import (
    LaneKey,
    SubscriptionIndex,
    TopicKey,
    envelope_prefix,
)


class Client:
    def __init__(self, name):
        self.name = name
        self.got = []
        self.append = self.got.append

    def __repr__(self):
        return self.name


def key(symbol="SBIN", mode=Mode.LTP, depth=0, feed="f"):
    return TopicKey(feed, "NSE", symbol, mode, depth)


def name(topic):
    return repr(topic).encode()


def add(index, client, topic, lane=LaneKey()):  # noqa: B008 - immutable
    index.add(client, topic, name(topic), "zerodha", lane)


def test_subscribing_twice_is_one_subscription():
    index, a = SubscriptionIndex(), Client("a")
    add(index, a, key())
    add(index, a, key())
    assert index.subscriptions == 1
    assert [lane.appends for lane in index.by_name[name(key())].lane_list] == [{a: a.append}]


def test_clients_with_the_same_wishes_share_a_lane():
    index, a, b = SubscriptionIndex(), Client("a"), Client("b")
    add(index, a, key())
    add(index, b, key())
    (lane,) = index.by_name[name(key())].lane_list
    assert set(lane.appends) == {a, b}


def test_another_throttle_moves_the_subscription_to_another_lane():
    index, a = SubscriptionIndex(), Client("a")
    add(index, a, key())
    add(index, a, key(), LaneKey(throttle=0.0))
    (lane,) = index.by_name[name(key())].lane_list
    assert lane.throttle == 0.0
    assert index.subscriptions == 1


def test_another_depth_moves_the_subscription_to_another_topic():
    index, a = SubscriptionIndex(), Client("a")
    add(index, a, key(mode=Mode.DEPTH, depth=5))
    add(index, a, key(mode=Mode.DEPTH, depth=20))
    assert list(index.by_name) == [name(key(mode=Mode.DEPTH, depth=20))]


def test_the_last_one_to_leave_takes_the_topic_along():
    index, a, b = SubscriptionIndex(), Client("a"), Client("b")
    add(index, a, key())
    add(index, b, key())
    assert index.remove(a, ("SBIN", "NSE", Mode.LTP)) == key()
    assert name(key()) in index.by_name
    assert index.remove(b, ("SBIN", "NSE", Mode.LTP)) == key()
    assert index.by_name == {}
    assert index.subscriptions == 0


def test_removing_what_was_never_held_says_so():
    index, a, b = SubscriptionIndex(), Client("a"), Client("b")
    add(index, a, key())
    assert index.remove(b, ("SBIN", "NSE", Mode.LTP)) is None
    assert index.remove(a, ("SBIN", "NSE", Mode.QUOTE)) is None
    assert index.subscriptions == 1


def test_a_paused_client_is_in_no_lane_but_keeps_its_subscriptions():
    index, a, b = SubscriptionIndex(), Client("a"), Client("b")
    add(index, a, key())
    add(index, b, key())
    index.pause(a)
    (lane,) = index.by_name[name(key())].lane_list
    assert set(lane.appends) == {b}
    index.remove(b, ("SBIN", "NSE", Mode.LTP))
    assert name(key()) in index.by_name, "the paused client still holds the topic"
    index.resume(a)
    assert set(lane.appends) == {a}


def test_the_envelope_has_its_keys_in_the_documented_order():
    prefix = envelope_prefix(key("SBIN", Mode.DEPTH), "zerodha")
    assert prefix == b'{"type":"market_data","symbol":"SBIN","exchange":"NSE","mode":3,"broker":"zerodha","data":'


def test_names_that_need_escaping_stay_valid_json():
    prefix = envelope_prefix(key('M&M"\\'), "zerodha")
    assert msgspec.json.decode(prefix + b"0}")["symbol"] == 'M&M"\\'


_clients = st.integers(0, 3)
_topics = st.builds(
    TopicKey,
    st.just("f"),
    st.just("NSE"),
    st.sampled_from(["A", "B"]),
    st.sampled_from(Mode),
    st.sampled_from([0, 5]),
)
_steps = st.one_of(
    st.tuples(st.just("add"), _clients, _topics, st.sampled_from([0.0, 0.05])),
    st.tuples(st.just("remove"), _clients, _topics, st.none()),
    st.tuples(st.just("pause"), _clients, _topics, st.none()),
    st.tuples(st.just("resume"), _clients, _topics, st.none()),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_steps, max_size=40))
def test_any_history_agrees_with_a_plain_model(history):
    index = SubscriptionIndex()
    clients = [Client(str(number)) for number in range(4)]
    model: dict[tuple[int, tuple], tuple[TopicKey, float]] = {}
    paused = set()
    for action, number, topic, throttle in history:
        client, slot = clients[number], (topic.symbol, topic.exchange, topic.mode)
        if action == "add" and number not in paused:
            add(index, client, topic, LaneKey(throttle=throttle))
            model[number, slot] = (topic, throttle)
        elif action == "remove":
            expected = model.pop((number, slot), None)
            assert index.remove(client, slot) == (expected[0] if expected else None)
        elif action == "pause":
            index.pause(client)
            paused.add(number)
        elif action == "resume":
            index.resume(client)
            paused.discard(number)
    assert index.subscriptions == len(model)
    reachable = {
        (client.name, topic.key, lane.throttle)
        for topic in index.by_name.values()
        for lane in topic.lane_list
        for client in lane.appends
    }
    assert reachable == {
        (str(number), topic, throttle) for (number, _), (topic, throttle) in model.items() if number not in paused
    }
    assert {topic.key for topic in index.by_name.values()} == {topic for topic, _ in model.values()}
