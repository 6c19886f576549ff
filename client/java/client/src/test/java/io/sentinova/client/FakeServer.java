package io.sentinova.client;

import com.google.protobuf.Int32Value;
import com.google.protobuf.StringValue;
import io.grpc.BindableService;
import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.ServerCalls;
import io.sentinova.v1.ClassScore;
import io.sentinova.v1.ModelRef;
import io.sentinova.v1.SentimentResult;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.function.UnaryOperator;

/** Services of a test in this process, and clients of them with the settings of real ones. */
final class FakeServer implements AutoCloseable {
    static final SentimentResult RESULT = SentimentResult.newBuilder()
            .setLabel("positive")
            .setScore(0.75f)
            .addScores(ClassScore.newBuilder().setLabel("positive").setScore(0.75f))
            .addScores(ClassScore.newBuilder().setLabel("negative").setScore(0.25f))
            .setModel(ModelRef.newBuilder().setName("sentiment_en").setVersion(2))
            .setTokenCount(7)
            .build();

    private final String name = InProcessServerBuilder.generateName();
    private final Server server;

    FakeServer(BindableService... services) {
        InProcessServerBuilder builder = InProcessServerBuilder.forName(name);
        for (BindableService service : services) {
            builder.addService(service);
        }
        try {
            server = builder.build().start();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    SentinovaClient client() {
        return client(settings -> settings);
    }

    SentinovaClient client(UnaryOperator<SentinovaClient.Builder> settings) {
        return settings.apply(SentinovaClient.builder()).build(InProcessChannelBuilder.forName(name));
    }

    /** Answers health checks, by the name that is asked for. */
    static BindableService health(ServerCalls.UnaryMethod<StringValue, Int32Value> check) {
        return () -> ServerServiceDefinition.builder("grpc.health.v1.Health")
                .addMethod(HealthMethod.CHECK, ServerCalls.asyncUnaryCall(check))
                .build();
    }

    @Override
    public void close() {
        server.shutdownNow();
    }
}
