/*
 * How a server is reached: credentials and the options of the gRPC channel. Knows gRPC's settings; must not know what
 * is asked of the server.
 */

import { type ChannelCredentials, type ChannelOptions, credentials, Metadata } from "@grpc/grpc-js";

import { type ClientOptions, isLocal, type TlsOptions } from "./options.js";
import { VERSION } from "./version.js";

/**
 * Makes the credentials of a channel.
 *
 * @throws {TypeError} where a certificate is given without its key, or a key without its certificate.
 */
export function channelCredentials(tls: ClientOptions["tls"]): ChannelCredentials {
  if (tls === undefined || tls === false) {
    return credentials.createInsecure();
  }
  const { ca, cert, key } = tls === true ? ({} as TlsOptions) : tls;
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError("a client certificate needs its key, and a key its certificate: give both, or neither");
  }
  return credentials.createSsl(bytes(ca), bytes(key), bytes(cert));
}

/** Makes the options of a channel. */
export function channelOptions(address: string, tls: ClientOptions["tls"], maxMessageBytes: number): ChannelOptions {
  const options: ChannelOptions = {
    "grpc.primary_user_agent": `sentinova-node/${VERSION}`,
    "grpc.max_receive_message_length": maxMessageBytes,
    // All addresses of a name in turn.
    "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    // Reconnect quickly enough to meet a server that has come back.
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 2_000,
    // A dead peer is noticed within 80 s while a call waits for it. Idle channels send no pings.
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.keepalive_permit_without_calls": 0,
  };
  if (isLocal(address)) {
    options["grpc.enable_http_proxy"] = 0;
  }
  if (typeof tls === "object" && tls.serverName !== undefined) {
    options["grpc.ssl_target_name_override"] = tls.serverName;
    options["grpc.default_authority"] = tls.serverName;
  }
  return options;
}

/**
 * Makes what is sent with every call.
 *
 * @throws {Error} where a key or a value cannot be sent.
 */
export function callMetadata(pairs: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(pairs)) {
    metadata.set(key, value);
  }
  return metadata;
}

function bytes(pem: string | Buffer | undefined): Buffer | null {
  return pem === undefined ? null : Buffer.from(pem);
}
