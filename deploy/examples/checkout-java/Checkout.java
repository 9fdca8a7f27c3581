import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A small checkout on Redress's topics: knows what is spendable, asks, captures, cancels, and proves it missed nothing.
 *
 * <p>It needs kafka-clients and jackson-databind and nothing of Redress but the topics. Copy what you need.
 */
public final class Checkout implements AutoCloseable {

    /** How long one attempt waits for its decision; the next sends the same event again, under the same id. */
    private static final Duration ATTEMPT = Duration.ofSeconds(2);
    /** How long a customer waits at the till. After that the order goes on without the voucher. */
    private static final Duration DEADLINE = Duration.ofSeconds(10);
    private static final Duration POLL = Duration.ofMillis(200);

    /** Fields we do not know are passed over: within a `v1`, optional ones may be added. */
    private static final JsonMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .build();

    // --- what is on the topics

    record Event(String type, JsonNode data) {}

    record Sent(String specversion, String id, String type, String source, String time, String partitionkey,
            String datacontenttype, Map<String, Object> data) {}

    record Balance(String beneficiary, int shard, List<Voucher> vouchers) {}

    record Voucher(String voucher, String programme, String wave, String benefit, String service, long available) {}

    record Lot(int shard, String programme, String wave, String benefit, String state, String validFrom,
            String validUntil) {

        boolean isOpenAt(Instant now) {
            return state.equals("open") && !now.isBefore(Instant.parse(validFrom))
                    && now.isBefore(Instant.parse(validUntil));
        }
    }

    record LotKey(int shard, String programme, String wave, String benefit) {}

    record Cause(String source, String id) {}

    record DecidedLine(String voucher, long reserved, long redeemed, long forfeited, long released, long restored,
            long exception, long balance) {}

    record Decision(int shard, long seq, Cause cause, String redemption, String outcome, String reason,
            List<DecidedLine> lines) {}

    record Spend(String voucher, long amount) {}

    /** What every voucher is worth, from the compacted topic. Each record replaces what was said before it. */
    static final class BalanceCache {
        private final Map<String, Balance> people = new ConcurrentHashMap<>();
        private final Map<LotKey, Lot> lots = new ConcurrentHashMap<>();

        /** One record of `redress.balance`. */
        void take(Event event) {
            switch (event.type()) {
                case "redress.beneficiary.balance.v1" -> {
                    var balance = JSON.convertValue(event.data(), Balance.class);
                    people.put(balance.beneficiary(), balance);
                }
                case "redress.lot.state.v1" -> {
                    var lot = JSON.convertValue(event.data(), Lot.class);
                    lots.put(new LotKey(lot.shard(), lot.programme(), lot.wave(), lot.benefit()), lot);
                }
                default -> { } // a type of a later release
            }
        }

        /** Amounts by voucher: what is `available`, if the lot's record of the same shard is open and valid now. */
        Map<String, Long> spendable(String beneficiary, String service, Instant now) {
            var found = new LinkedHashMap<String, Long>();
            var person = people.get(beneficiary);
            for (var voucher : person == null ? List.<Voucher>of() : person.vouchers()) {
                var lot = lots.get(
                        new LotKey(person.shard(), voucher.programme(), voucher.wave(), voucher.benefit()));
                var fits = voucher.service().equals(service) || voucher.service().equals("*");
                if (fits && voucher.available() > 0 && lot != null && lot.isOpenAt(now)) {
                    found.put(voucher.voucher(), voucher.available());
                }
            }
            return found;
        }
    }

    /**
     * Proves that nothing of `redress.ledger` was missed: entries of a shard are numbered from 1 without a gap.
     *
     * <p>The marker after each batch says how far the shard is, so that a missing tail shows too. Read uncommitted,
     * records come sooner, and some twice: a (shard, seq) that was seen is skipped.
     */
    static final class Completeness {
        record Gap(int shard, long expected, long came) {}

        final SortedMap<Integer, Long> last = new TreeMap<>();
        final List<Gap> gaps = new ArrayList<>();
        long skipped;

        /** Whether this is an entry, and new. */
        boolean take(Event event) {
            var shard = event.data().path("shard").intValue();
            var expected = last.getOrDefault(shard, 0L) + 1;
            return switch (event.type()) {
                case "redress.batch.committed.v1" -> {
                    var next = event.data().get("next_seq").longValue();
                    if (next > expected) {
                        gaps.add(new Gap(shard, expected, next));
                        last.put(shard, next - 1);
                    }
                    yield false;
                }
                case "redress.entry.appended.v1" -> {
                    var seq = event.data().get("seq").longValue();
                    if (seq < expected) {
                        skipped++;
                        yield false;
                    }
                    if (seq > expected) {
                        gaps.add(new Gap(shard, expected, seq));
                    }
                    last.put(shard, seq);
                    yield true;
                }
                default -> false;
            };
        }
    }

    // --- the checkout

    final BalanceCache cache = new BalanceCache();
    private final Options options;
    private final KafkaProducer<String, String> producer;
    private final KafkaConsumer<String, String> reader;
    private final Thread following = new Thread(this::follow, "redress-topics");
    private final Map<Cause, BlockingQueue<Decision>> waiting = new ConcurrentHashMap<>();
    /** The seq of each shard's last decision. */
    private final Map<Integer, Long> decided = new HashMap<>();

    /** With a producer, the cache filled, and decisions coming in. */
    Checkout(Options options) {
        this.options = options;
        // Placed by Kafka's standard partitioner (murmur2 of the key), which is this client's default.
        producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", options.kafka(), "acks", "all", "enable.idempotence", true),
                new StringSerializer(), new StringSerializer());
        reader = newReader();
        var balances = partitions(reader, "redress.balance");
        var decisions = partitions(reader, "redress.decision");
        reader.assign(Stream.of(balances, decisions).flatMap(List::stream).toList());
        reader.seekToBeginning(balances);
        reader.endOffsets(decisions).forEach(reader::seek);
        readUntil(reader, reader.endOffsets(balances), this::take);
        following.start();
    }

    /**
     * May this order be paid so? The decision: look at its outcome.
     *
     * @throws TimeoutException none came in time. It may still be accepted: release it, or its hold times out.
     */
    Decision request(String beneficiary, String order, String service, List<Spend> lines)
            throws TimeoutException, InterruptedException {
        var redemption = "r-" + UUID.randomUUID().toString().substring(24);
        return ask("redress.redemption.requested.v1", beneficiary, Map.of("redemption", redemption, "order", order,
                "service", service, "applied_by", "customer", "lines", lines));
    }

    /** The order was paid. A fact: keep sending it until it is answered. */
    Decision capture(String beneficiary, String redemption, List<Spend> lines)
            throws TimeoutException, InterruptedException {
        return ask("redress.redemption.captured.v1", beneficiary, Map.of("redemption", redemption, "lines", lines));
    }

    /** The whole order was cancelled. */
    Decision cancel(String beneficiary, String redemption) throws TimeoutException, InterruptedException {
        return ask("redress.redemption.reversed.v1", beneficiary, Map.of("redemption", redemption,
                "scope", "whole_order", "lines", List.of(), "reason", "customer_cancelled"));
    }

    /** All of `redress.ledger` up to now, checked for gaps. */
    Completeness complete() {
        var found = new Completeness();
        try (var ledger = newReader()) {
            var partitions = partitions(ledger, "redress.ledger");
            ledger.assign(partitions);
            ledger.seekToBeginning(partitions);
            readUntil(ledger, ledger.endOffsets(partitions), found::take);
        }
        return found;
    }

    @Override
    public void close() throws InterruptedException {
        reader.wakeup();
        following.join();
        producer.close();
    }

    // --- Kafka

    /** Send until answered. The same id each time, so that the ledger takes it once. */
    private Decision ask(String type, String beneficiary, Map<String, Object> body)
            throws TimeoutException, InterruptedException {
        var id = UUID.randomUUID().toString();
        var data = new HashMap<>(body);
        data.put("programme", options.programme());
        data.put("beneficiary", beneficiary);
        var event = new Sent("1.0", id, type, options.source(), options.time(), beneficiary, "application/json", data);
        var record = new ProducerRecord<>(options.prefix() + "redress.redemption", beneficiary, write(event));
        record.headers().add("content-type", "application/cloudevents+json".getBytes(StandardCharsets.UTF_8));
        var cause = new Cause(options.source(), id);
        var answer = new ArrayBlockingQueue<Decision>(1);
        waiting.put(cause, answer);
        try {
            for (var left = DEADLINE; left.isPositive(); left = left.minus(ATTEMPT)) {
                producer.send(record); // one that fails is followed by another
                var decision = answer.poll(ATTEMPT.toMillis(), TimeUnit.MILLISECONDS);
                if (decision != null) {
                    return decision;
                }
            }
            throw new TimeoutException("no decision came for " + id);
        } finally {
            waiting.remove(cause);
        }
    }

    /** One record of `redress.balance` or `redress.decision`. */
    private void take(Event event) {
        if (!event.type().equals("redress.redemption.decided.v1")) {
            cache.take(event);
            return;
        }
        var decision = JSON.convertValue(event.data(), Decision.class);
        if (decision.seq() <= decided.getOrDefault(decision.shard(), 0L)) {
            return; // read uncommitted, some come twice
        }
        decided.put(decision.shard(), decision.seq());
        var asked = waiting.get(decision.cause());
        if (asked != null) {
            asked.offer(decision);
        }
    }

    private void follow() {
        try (reader) {
            while (true) {
                poll(reader, this::take);
            }
        } catch (WakeupException closed) {
            // close() was called
        }
    }

    /** Reads uncommitted records too: everything published was durable first. */
    private KafkaConsumer<String, String> newReader() {
        return new KafkaConsumer<>(
                Map.of("bootstrap.servers", options.kafka(), "isolation.level", "read_uncommitted",
                        "enable.auto.commit", false),
                new StringDeserializer(), new StringDeserializer());
    }

    private List<TopicPartition> partitions(KafkaConsumer<?, ?> consumer, String topic) {
        return consumer.partitionsFor(options.prefix() + topic).stream()
                .map(found -> new TopicPartition(found.topic(), found.partition()))
                .toList();
    }

    private static void readUntil(
            KafkaConsumer<String, String> consumer, Map<TopicPartition, Long> ends, Consumer<Event> take) {
        while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
            poll(consumer, take);
        }
    }

    private static void poll(KafkaConsumer<String, String> consumer, Consumer<Event> take) {
        consumer.poll(POLL).forEach(found -> take.accept(read(found.value())));
    }

    private static Event read(String value) {
        try {
            return JSON.readValue(value, Event.class);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static String write(Object value) {
        try {
            return JSON.writeValueAsString(value);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    // --- the tour

    private static final String USAGE = """
            usage: java -cp 'lib/*' Checkout.java --kafka HOST:PORT --programme P --beneficiary ID --service S
                   [--source NAME] [--prefix REDRESS_TOPIC_PREFIX] [--time WHEN, now by default]
            """;

    /** `source` is the checkout's name in every event: unique, and nothing about a person. */
    record Options(String kafka, String programme, String beneficiary, String service, String source, String prefix,
            String time) {

        private static final Set<String> NAMES =
                Set.of("kafka", "programme", "beneficiary", "service", "source", "prefix", "time");

        /** From `--name value` pairs. */
        static Options parse(String... arguments) {
            var given = new HashMap<>(Map.of("source", "/checkout/example", "prefix", "",
                    "time", Instant.now().truncatedTo(ChronoUnit.MICROS).toString()));
            for (var i = 0; i + 1 < arguments.length; i += 2) {
                given.put(arguments[i].replaceFirst("^--", ""), arguments[i + 1]);
            }
            if (arguments.length % 2 == 1 || !given.keySet().equals(NAMES)) {
                System.err.print(USAGE);
                System.exit(2);
            }
            return JSON.convertValue(given, Options.class);
        }
    }

    /** Spends what there is for a service, cancels the order, and checks that nothing was missed. */
    public static void main(String... arguments) throws TimeoutException, InterruptedException {
        var options = Options.parse(arguments);
        var who = options.beneficiary();
        var told = new LinkedHashMap<String, Object>();
        Completeness complete;
        try (var checkout = new Checkout(options)) {
            var spendable = checkout.cache.spendable(who, options.service(), Instant.parse(options.time()));
            told.put("spendable", spendable);
            for (var voucher : spendable.entrySet().stream().limit(1).toList()) {
                var lines = List.of(new Spend(voucher.getKey(), voucher.getValue()));
                var decision = checkout.request(who, "o-tour", options.service(), lines);
                told.put("request", decision);
                if (decision.outcome().equals("accepted")) {
                    told.put("capture", checkout.capture(who, decision.redemption(), lines));
                    told.put("cancel", checkout.cancel(who, decision.redemption()));
                }
            }
            complete = checkout.complete();
        }
        told.put("entries", complete.last.values().stream().mapToLong(Long::longValue).sum());
        told.put("gaps", complete.gaps);
        told.put("skipped", complete.skipped);
        System.out.println(write(told));
        System.exit(complete.gaps.isEmpty() ? 0 : 1);
    }
}
