"""One statement for each operation: the session's row, the work, and everything that the platform writes with it."""

MOMENTS = ("expires_at", "requested_at", "accepted_at", "ongoing_at", "finished_at", "created_at", "updated_at")
_JOB = (
    *("id", "status", "version", "client_id", "assistant_id", "service_type", "vehicle_class", "vehicle_type"),
    *("pickup_lat", "pickup_lng", "dropoff_lat", "dropoff_lng", "note", "distance_m", "total_price"),
    *("minimum_price", "currency", "quote_id", "conversation_id", "rating", *MOMENTS),
)
COLUMNS = (
    *_JOB,
    *("client_name", "assistant_name", "offer_status", "offer_distance_m", "offer_eta", "offer_wave"),
    *("offered_at", "answered_at"),
)

_SESSION = """FROM accounts_session s JOIN accounts_user u ON u.id = s.user_id
  WHERE s.id = %(session)s AND u.id = %(user)s AND s.ended_at IS NULL AND s.expires_at > %(now)s AND u.is_active"""
_SHOWN = f"""{", ".join(f"j.{name}" for name in _JOB)}, c.name AS client_name, a.name AS assistant_name,
  o.status AS offer_status, o.distance_m AS offer_distance_m, o.eta_minutes AS offer_eta, o.wave AS offer_wave,
  o.offered_at, o.answered_at"""
_JOINED = """JOIN accounts_user c ON c.id = j.client_id LEFT JOIN accounts_user a ON a.id = j.assistant_id
  LEFT JOIN dispatch_offer o ON o.assistance_id = j.id AND o.round = j.round AND o.assistant_id = %(user)s"""

DETAIL = f"""
SELECT {_SHOWN} FROM dispatch_assistance j {_JOINED}
WHERE j.id = %(job)s AND (j.client_id = %(user)s OR j.assistant_id = %(user)s OR o.status = 'open')
  AND EXISTS (SELECT {_SESSION})
"""

LIST = f"""
WITH mine AS MATERIALIZED (
  SELECT j.* FROM dispatch_assistance j
  WHERE (j.client_id = %(user)s OR j.assistant_id = %(user)s OR j.id = ANY(ARRAY(
    SELECT assistance_id FROM dispatch_offer WHERE assistant_id = %(user)s AND status = 'open')))
    AND j.status = ANY(%(status)s) AND EXISTS (SELECT {_SESSION})
), page AS (SELECT * FROM mine ORDER BY id DESC LIMIT %(limit)s)
SELECT {_SHOWN}, (SELECT count(*) FROM mine) FROM page j {_JOINED} ORDER BY j.id DESC
"""

_KEPT = """
kept AS (
  INSERT INTO core_idempotent_answer (user_id, operation, key, body_hash, status, body, created_at)
  SELECT %(user)s, %(operation)s, %(key)s, %(hash)s, 201, convert_to(shown.body, 'UTF8'), %(now)s FROM shown
)"""

MESSAGE = f"""
WITH alive AS (SELECT u.id, u.name, pg_try_advisory_xact_lock(%(lock)s) AS locked {_SESSION}),
talk AS (
  SELECT t.id FROM messaging_conversation t JOIN dispatch_assistance j ON j.conversation_id = t.id
  JOIN messaging_member m ON m.conversation_id = t.id AND m.left_at IS NULL JOIN alive ON m.user_id = alive.id
  WHERE j.id = %(job)s AND t.closed_at IS NULL AND alive.locked AND NOT EXISTS (
    SELECT FROM core_idempotent_answer
    WHERE user_id = %(user)s AND operation = %(operation)s AND key = %(key)s)
  FOR NO KEY UPDATE OF t
), said AS (
  INSERT INTO messaging_message (conversation_id, sender_id, content, created_at, is_withheld)
  SELECT id, %(user)s, %(content)s, %(now)s, false FROM talk RETURNING *
), last AS (
  UPDATE messaging_conversation t SET last_message_id = said.id, last_message_at = %(now)s FROM said
  WHERE t.id = said.conversation_id
), unread AS (
  UPDATE messaging_member m SET unread_count = unread_count + (NOT blocks_other)::int FROM said
  WHERE m.conversation_id = said.conversation_id AND m.user_id <> %(user)s AND m.left_at IS NULL
  RETURNING m.user_id, m.unread_count
), shown AS (
  SELECT said.conversation_id, json_build_object('id', said.id, 'conversation_id', said.conversation_id,
    'sender', json_build_object('id', alive.id, 'name', alive.name), 'content', said.content,
    'client_id', said.client_id, 'reply_to', said.reply_to_id, 'created_at', said.created_at)::text AS body
  FROM said, alive
), told AS (
  INSERT INTO core_event (room, partition, type, data, request_id, created_at)
  SELECT 'conversation:' || conversation_id, %(partition)s, 'message.created', '{{"message":' || body || '}}', '',
    %(now)s FROM shown
  UNION ALL
  SELECT 'user:' || listed.user_id, %(partition)s, 'conversation.updated', '{{"id":' || conversation_id
    || ',"last_message":' || body || ',"unread_count":' || listed.unread_count || '}}', '', %(now)s
  FROM shown, (SELECT * FROM unread UNION ALL SELECT %(user)s, 0) listed
), {_KEPT}
SELECT body FROM shown
"""

REQUEST = f"""
WITH alive AS (SELECT u.id, u.name, pg_try_advisory_xact_lock(%(lock)s) AS locked {_SESSION} FOR KEY SHARE OF u),
tariff AS (
  SELECT * FROM dispatch_tariff WHERE service_type = %(service)s AND vehicle_class = 'light' AND valid_from <= %(now)s
  ORDER BY valid_from DESC LIMIT 1
), asked AS (
  INSERT INTO dispatch_assistance (status, version, created_at, updated_at, pickup_lat, pickup_lng, dropoff_lat,
    dropoff_lng, vehicle_class, distance_m, total_price, minimum_price, currency, client_id, requested_service,
    service_type, vehicle_type, note, round, expires_at, requested_at)
  SELECT 'requested', 1, %(now)s, %(now)s, %(pickup_lat)s, %(pickup_lng)s, %(dropoff_lat)s, %(dropoff_lng)s, 'light',
    12610, tariff.base + tariff.per_km * 12610 / 1000, tariff.minimum, tariff.currency, alive.id, %(service)s,
    %(service)s, '', '', 1, %(later)s, %(now)s
  FROM alive, tariff WHERE alive.locked AND NOT EXISTS (
    SELECT FROM core_idempotent_answer
    WHERE user_id = %(user)s AND operation = %(operation)s AND key = %(key)s)
  RETURNING *
), shown AS (
  SELECT asked.id, json_build_object('assistance', json_build_object('id', asked.id, 'status', asked.status,
    'version', asked.version, 'client', json_build_object('id', alive.id, 'name', alive.name), 'assistant', NULL,
    'service_type', asked.service_type, 'vehicle_class', asked.vehicle_class,
    'pickup', json_build_object('lat', asked.pickup_lat, 'lng', asked.pickup_lng),
    'dropoff', json_build_object('lat', asked.dropoff_lat, 'lng', asked.dropoff_lng),
    'distance_km', asked.distance_m / 1000.0, 'total_price', asked.total_price, 'currency', asked.currency,
    'expires_at', asked.expires_at, 'requested_at', asked.requested_at, 'created_at', asked.created_at),
    'nearby_assistants', '[]'::json)::text AS body FROM asked, alive
), history AS (
  INSERT INTO core_state_change (reference, version, from_status, to_status, by_id, reason, at)
  SELECT 'assistance:' || id, 1, '', 'requested', %(user)s, '', %(now)s FROM shown
), told AS (
  INSERT INTO core_event (room, partition, type, data, request_id, created_at)
  SELECT 'assistance:' || id, 0, type, body, '', %(now)s
  FROM shown, unnest(ARRAY['member.added', 'assistance.status']) type
), planned AS (
  INSERT INTO core_job (name, queue, arguments, request_id, status, run_at, fence, attempts, last_error)
  SELECT name, 'critical', json_build_object('assistance_id', id, 'round', 1), '', 'pending', %(later)s, 0, 0, ''
  FROM shown, unnest(ARRAY['dispatch.expire_request', 'dispatch.offer_next_wave']) name
), searched AS (
  INSERT INTO dispatch_wave (assistance_id, round, number, radius_m, left_out, at)
  SELECT id, 1, 1, 5000, '[]', %(now)s FROM shown
), {_KEPT}
SELECT body FROM shown
"""
