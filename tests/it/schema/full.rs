//! Files in which every key stands that there is.

pub const QUARANTINE: &str = "\
title: T
id: 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11
name: t
status: stable
description: x
author: x
license: x
date: 2026-11-24
modified: 2026-11-25
references: [x]
related: [{id: 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a12, type: derived}]
taxonomy: x
scope: [x]
tags: [attack.execution]
fields: [file.sha1]
falsepositives: [x]
level: high
logsource: {product: windows, category: x, service: microsoft_defender, definition: x}
detection:
  malware: {alert.category: Malware}
  file: [{file.entity: File}, {file.name|endswith: .exe}]
  condition: malware and file
response:
  action: StopAndQuarantineFile
  comment: due to {{alert.id}}
  mode: approve
  unknown: hold
  window: 24h
  priority: normal
  approvals: {count: 2, four_eyes: true}
  on_timed_out: {retry: 3}
  on_failed: hold
  breakers: {machines_per_file: 25/1h, actions: 200/1h}
tests:
  - name: acts
    alert: samples/a.json
    format: defender-alert
    set: {machine.os: Windows11}
    absent: [machine.group]
    expect:
      act: [{machine: 5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c, sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13}]
      hold: []
  - name: spares
    alert: samples/a.json
    set: {alert.category: Exploit}
    expect: {no_match: malware}
sigma-version: 2
";

pub const DENY: &str = "\
title: T
id: 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11
logsource: {product: windows}
detection:
  file: {file.sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13}
  condition: file
response: {action: deny, unknown: hold}
tests:
  - name: protects
    alert: samples/a.json
    expect:
      protected: [{machine: 5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c, sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13}]
      hold: []
";

/// Of the rule `t`.
pub const CORRELATION: &str = "\
title: C
id: 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a13
name: c
status: stable
description: x
author: x
license: x
date: 2026-11-24
modified: 2026-11-25
references: [x]
related: [{id: 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a12, type: derived}]
taxonomy: x
scope: [x]
tags: [attack.execution]
fields: [file.sha1]
falsepositives: [x]
level: high
correlation:
  type: value_count
  rules: [t]
  group-by: [file.sha1]
  timespan: 1h
  condition: {field: machine.id, gte: 3}
response:
  action: StopAndQuarantineFile
  comment: due to {{alert.id}}
  mode: approve
  window: 24h
  priority: normal
  approvals: {count: 2, four_eyes: true}
  breakers: {machines_per_file: 25/1h, actions: 200/1h}
tests:
  - name: one is not enough
    alerts:
      - alert: samples/a.json
        format: defender-alert
        set: {machine.os: Windows11}
        absent: [machine.group]
    expect: {no_match: true, act: [], hold: []}
sigma-version: 2
";

pub const FORMAT: &str = "\
format: full
description: x
alert:
  id: $.id
  title: {path: [$.title, $.name], default: none}
  severity: {path: $.score, values: {0..39: Low, 40..: High}}
  created: {path: $.at, time: seconds}
  category: {always: Malware}
candidates:
  - each: $.hosts[*]
    machine.id: '@.id'
    candidates:
      - each: '@.files[*]'
        file.sha1: {path: '@.hashes', hash: sha1}
        file.name: {path: '@.path', part: name}
absent: ['-', null]
empty: [none]
machine: {lookup: machines.csv, defender: true}
tests:
  - name: reads
    alert: samples/full.json
    machines: {pc15: 0e94c7d3a1b85f26e7d04c9b31fa6285d7c0e3b9}
    expect:
      - machine: 6b1f0c94d2e7a85f30c6d1498be27a0f53cd9e14
        sha1: 3c0e5f7a92b41d68c7f0a1e4d95b82360fe7c14a
        fields: {alert.severity: High}
        absent: [file.path]
      - {sha1: 3c0e5f7a92b41d68c7f0a1e4d95b82360fe7c14a, incomplete: [does not have]}
";

pub const CONFIG: &str = "\
node: lazaret-1
mode: observe
rules: ./rules
store: {sqlite: ./data}
listen:
  webhooks: {address: 127.0.0.1:8443, tls: {certificate: a, key: b, client_ca: c}}
  admin:
    address: '[::1]:9443'
    tls: {certificate: a, key: b}
    tokens:
      - {name: alice, role: view, token: {file: a}, expires: 2027-01-31}
      - {name: bob, role: admin, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
sources:
  - name: a
    tenants: [contoso]
    silent_after: 1h
    webhook: {format: defender-alert, origins: [example.org], verify: {scheme: bearer, secrets: [{env: A}]}}
  - name: b
    tenants: [contoso]
    webhook:
      format: graph-alert
      verify: {scheme: hmac, secrets: [{file: a}], header: X, digest: sha512, encoding: base64,
        prefix: x, signed: '{timestamp}{id}{body}', timestamp_header: X, id_header: X, tolerance: 5m}
  - name: c
    tenants: [contoso]
    webhook:
      format: graph-alert
      verify:
        scheme: entra
        tenant: 11111111-2222-3333-4444-555555555555
        audience: api://x
        applications: [77777777-8888-9999-aaaa-bbbbbbbbbbbb]
        cloud: gcc
        login: https://login.example.org
  - name: d
    tenants: [contoso]
    webhook: {format: graph-alert, verify: {scheme: mutual-tls, subjects: [soar.example.org]}}
  - name: e
    tenants: [contoso]
    webhook: {format: graph-alert, verify: {scheme: none}}
  - name: f
    tenants: [contoso]
    kafka:
      brokers: [b:9093]
      topics: [t]
      group: g
      start: latest
      format: defender-xdr
      security: {protocol: SASL_SSL, mechanism: PLAIN, username: u, password: {env: A}, ca: a}
      librdkafka: {client.rack: west}
  - name: g
    tenants: [contoso]
    kafka:
      brokers: [b:9093]
      topics: [t]
      format: defender-xdr
      security: {protocol: SASL_SSL, mechanism: OAUTHBEARER, credential: contoso}
tenants:
  - name: contoso
    id: 11111111-2222-3333-4444-555555555555
    cloud: commercial
    region: eu
    api: https://api.example.org
    login: https://login.example.org
    scope: https://api.example.org/.default
    credential: {client_id: 66666666-7777-8888-9999-000000000000, secret: {file: a}, expires: 2027-01-31}
    budgets:
      quarantine: [{calls: 100, per: 60s}]
      machine-actions: [{calls: 100, per: 60s}]
      alerts: [{calls: 100, per: 60s}]
      machines: [{calls: 100, per: 60s}]
    breakers: {actions: 1000/1h, share_of_fleet: 2.5%/24h}
    fleet: 12000
  - name: t1
    id: 11111112-2222-3333-4444-555555555555
    credential: {client_id: 66666666-7777-8888-9999-000000000000, certificate: {file: a}, key: {file: b}}
  - name: t2
    id: 11111113-2222-3333-4444-555555555555
    credential: {client_id: 66666666-7777-8888-9999-000000000000, workload_identity: {file: a}}
  - name: t3
    id: 11111114-2222-3333-4444-555555555555
    credential: {managed_identity: system}
notify:
  - name: soc
    webhook:
      url: {file: a}
      secret: {file: a}
      headers: {Authorization: {env: A}}
      body: '{\"text\": \"{{value.k}}\"}'
      values: {k: {env: A}}
    kinds: [held]
    group: 30s
    rate: 60/1h
  - name: outcomes
    kafka: {brokers: [b:9093], topic: t, security: {protocol: SASL_PLAINTEXT,
      mechanism: SCRAM-SHA-256, username: u, password: {file: a}}}
limits: {body: 1MiB, connections: 1, connections_per_address: 1, queue: 1, alert_age: 24h,
  no_match_rows: 1000/s}
join: {expire: 30m, settle: 2m, alerts: 1, bytes: 4GiB}
expire: {queued: 24h, held: 72h}
reconcile: {wait: 60s}
dedupe: {cache: 0}
retention: {fates: 30d, actions: 400d, unreadable: 7d}
";
