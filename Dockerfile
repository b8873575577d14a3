# Two stages: the compiler stays behind, and the service runs as a user without a shell or a home.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ libssl-dev make pkg-config zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /lazaret
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY src src
COPY rules rules
COPY docs docs
COPY benches benches
COPY tests tests
RUN cargo build --release --locked --bin lazaret && strip target/release/lazaret

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin lazaret \
 && install -d -o lazaret -g lazaret -m 0700 /var/lib/lazaret
COPY --from=build /lazaret/target/release/lazaret /usr/local/bin/lazaret
USER lazaret
ENTRYPOINT ["/usr/local/bin/lazaret"]
CMD ["run", "--config", "/etc/lazaret/lazaret.yaml"]
