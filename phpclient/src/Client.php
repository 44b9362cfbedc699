<?php

declare(strict_types=1);

namespace Lvsession;

use Lvsession\Exception\Conflict;
use Lvsession\Exception\Destroyed;
use Lvsession\Exception\Invalid;
use Lvsession\Exception\Locked;
use Lvsession\Exception\NotFound;
use Lvsession\Exception\SessionException;
use Lvsession\Exception\TooLarge;
use Lvsession\Exception\Unauthorized;
use Lvsession\Exception\Unavailable;

/**
 * The sessions of one namespace, over sessiond's HTTP API (docs/http-api.md).
 *
 * Every operation is tried on one sessiond after the other until one answers. One that has already been sent may be
 * sent again, so it may be carried out twice: all of them bear that, and write() finds out whether a conflict is with
 * itself.
 */
final class Client
{
    /** Conditions of write(): the session must be at any version, or must not exist. */
    public const ANY_VERSION = -1;
    public const NO_VERSION = 0;

    private const BINARY = 'application/octet-stream';
    private const JSON = 'application/json';

    /** Errors by sessiond's titles. */
    private const ERRORS = [
        'invalid' => Invalid::class,
        'not found' => NotFound::class,
        'destroyed' => Destroyed::class,
        'conflict' => Conflict::class,
        'too large' => TooLarge::class,
        'locked' => Locked::class,
        'unavailable' => Unavailable::class,
        'method not allowed' => Invalid::class,
        'unauthorized' => Unauthorized::class,
        'forbidden' => Unauthorized::class,
    ];

    private Options $options;
    private Endpoints $endpoints;

    /** @var array<string, Connection> those in use by this object, by address */
    private array $connections = [];

    public function __construct(Options $options)
    {
        $this->options = $options;
        $this->endpoints = new Endpoints($options->endpoints, $options->breaker ? new Breaker() : null);
    }

    /**
     * Whether an id is one that sessiond takes: 22 to 256 characters of [A-Za-z0-9,-].
     */
    public static function isId(
        #[\SensitiveParameter]
        string $id
    ): bool {
        return preg_match('~^[A-Za-z0-9,-]{22,256}$~D', $id) === 1;
    }

    /**
     * Opens a session under its lease, waiting for another request's.
     *
     * @return StoredSession|null null if there is no such session; nothing is locked then
     *
     * @throws SessionException Locked once the wait is over; Invalid; Unavailable
     */
    public function open(
        #[\SensitiveParameter]
        string $id
    ): ?StoredSession {
        $wait = $this->options->lockWaitMs;
        $body = "{\"lock\":true,\"lock_ttl_ms\":{$this->options->lockTtlMs},\"lock_wait_ms\":" . ($wait ?: -1) . '}';
        $response = $this->call('open', $id, 'POST', '/open', self::json($body), $wait);
        if ($response->status === 201) {
            return null;
        }
        $lease = $response->header('session-lease'); // none where the namespace's policy gives none
        if (preg_match('~^[0-9]{0,20}$~D', $lease) !== 1) {
            throw $this->misunderstood('open', $id, $response);
        }
        $readOnly = $response->header('session-read-only') !== '';
        return new StoredSession($response->body, $this->version('open', $id, $response), $lease, $readOnly);
    }

    /**
     * Reads a session without its lease.
     *
     * @return StoredSession|null null if there is no such session
     *
     * @throws SessionException Invalid; Unavailable
     */
    public function read(
        #[\SensitiveParameter]
        string $id
    ): ?StoredSession {
        try {
            $response = $this->call('read', $id, 'GET');
        } catch (NotFound $e) {
            return null;
        }
        return new StoredSession($response->body, $this->version('read', $id, $response));
    }

    /**
     * Stores a payload. It returns once the store has committed.
     *
     * @param int    $ifVersion the version that was read, NO_VERSION or ANY_VERSION
     * @param string $lease     of open, or '' without one
     * @param int    $idleMs    how long after now the session expires
     * @param bool   $close     whether to release the lease once that is done; a write that fails releases nothing
     *
     * @return int the session's new version
     *
     * @throws SessionException Conflict, NotFound if $ifVersion names a version and the session is gone, Destroyed,
     *                          TooLarge, Invalid; Unavailable
     */
    public function write(
        #[\SensitiveParameter]
        string $id,
        #[\SensitiveParameter]
        string $payload,
        int $ifVersion,
        string $lease,
        int $idleMs,
        bool $close = false
    ): int {
        $headers = ['Content-Type' => self::BINARY, 'Session-Idle' => (string) $idleMs];
        if ($ifVersion === self::NO_VERSION) {
            $headers['If-None-Match'] = '*';
        } elseif ($ifVersion !== self::ANY_VERSION) {
            $headers['If-Match'] = "\"$ifVersion\"";
        }
        $request = [$headers + self::lease($lease, $close), $payload];
        $resent = false;
        try {
            $response = $this->call('write', $id, 'PUT', '', $request, 0, $resent);
        } catch (Conflict $e) {
            $own = $resent ? $this->ownWrite($id, $payload, $ifVersion) : null;
            if ($own === null) {
                throw $e;
            }
            if ($close && $lease !== '') {
                $this->close($id, $lease);
            }
            return $own;
        }
        return $this->version('write', $id, $response);
    }

    /**
     * Moves the expiry of a session.
     *
     * @param bool   $create whether to store an empty session where there is none
     * @param string $lease  to release once that is done, or ''
     *
     * @throws SessionException NotFound without $create, Destroyed, Invalid; Unavailable
     */
    public function touch(
        #[\SensitiveParameter]
        string $id,
        bool $create,
        int $idleMs,
        string $lease = ''
    ): void {
        $request = self::json('{"create":' . ($create ? 'true' : 'false') . ",\"idle_ms\":$idleMs}");
        $request[0] += self::lease($lease, true);
        $this->done('touch', $id, $this->call('touch', $id, 'POST', '/touch', $request));
    }

    /**
     * Ends a session. Idempotent.
     *
     * @param string $lease to release once that is done, or ''
     *
     * @throws SessionException Invalid; Unavailable
     */
    public function destroy(
        #[\SensitiveParameter]
        string $id,
        string $lease = ''
    ): void {
        $this->done('destroy', $id, $this->call('destroy', $id, 'DELETE', '', [self::lease($lease, true), '']));
    }

    /**
     * Releases the lease that open() took. Idempotent.
     *
     * @throws SessionException Invalid; Unavailable
     */
    public function close(
        #[\SensitiveParameter]
        string $id,
        string $lease
    ): void {
        $this->done('close', $id, $this->call('close', $id, 'POST', '/close', [self::lease($lease), '']));
    }

    /**
     * Collects expired sessions of all namespaces, in one bounded run.
     *
     * @return int how many were removed
     *
     * @throws SessionException Unavailable
     */
    public function gc(): int
    {
        $response = $this->request('collect garbage', '', 'POST', '/v1/gc', self::json('{}'));
        $answer = json_decode($response->body, true);
        if (!is_array($answer) || !is_int($answer['removed'] ?? null)) {
            throw new Unavailable('lvsession: cannot collect garbage: the answer is not sessiond\'s');
        }
        return $answer['removed'];
    }

    /**
     * What messages call a session: the first 48 bits of the key under which sessiond stores it, as its log does.
     */
    public function label(
        #[\SensitiveParameter]
        string $id
    ): string {
        return substr(hash('sha256', $this->options->namespace . "\0" . $id), 0, 12);
    }

    /**
     * Tells whether a session is as one of our own attempts left it, whose answer was lost.
     *
     * @return int|null the version that it has then
     */
    private function ownWrite(string $id, string $payload, int $ifVersion): ?int
    {
        $now = $this->read($id);
        if ($now === null || $now->payload !== $payload) {
            return null;
        }
        // A new session may continue the versions of an expired one, so any version will do for it; and a write that
        // named none was refused for its lease, which it may have released itself.
        $any = $ifVersion === self::NO_VERSION || $ifVersion === self::ANY_VERSION;
        if (!$any && $now->version !== $ifVersion + 1) {
            return null;
        }
        return $now->version;
    }

    /**
     * @param array{0: array<string, string>, 1: string}|null $request headers and body
     *
     * @throws SessionException
     */
    private function call(
        string $what,
        string $id,
        string $method,
        string $operation = '',
        ?array $request = null,
        int $extraMs = 0,
        bool &$resent = false
    ): Response {
        if (!self::isId($id)) {
            throw new Invalid("{$this->cannot($what, $id)}: a session id has 22 to 256 characters of A-Z, a-z, 0-9, "
                . 'comma and hyphen');
        }
        $path = "/v1/{$this->options->namespace}/sessions/$id$operation";
        return $this->request($what, $id, $method, $path, $request, $extraMs, $resent);
    }

    /**
     * @param array{0: array<string, string>, 1: string}|null $request headers and body
     *
     * @throws SessionException
     */
    private function request(
        string $what,
        string $id,
        string $method,
        string $path,
        ?array $request = null,
        int $extraMs = 0,
        bool &$resent = false
    ): Response {
        // PHP warns of a connection that fails, even where the other sessiond is still to be asked, and a site's own
        // error handler may turn that into an exception.
        set_error_handler([Connection::class, 'noteWarning'], E_WARNING | E_NOTICE);
        try {
            return $this->exchange($what, $id, $method, $path, $request, $extraMs, $resent);
        } finally {
            restore_error_handler();
        }
    }

    /**
     * @param array{0: array<string, string>, 1: string}|null $request headers and body
     *
     * @throws SessionException
     */
    private function exchange(
        string $what,
        string $id,
        string $method,
        string $path,
        ?array $request,
        int $extraMs,
        bool &$resent
    ): Response {
        [$headers, $body] = $request ?? [[], ''];
        if (strlen($body) > Response::MAX_BODY) {
            $bytes = strlen($body);
            throw new TooLarge("{$this->cannot($what, $id)}: the payload of $bytes bytes is over the limit");
        }
        if ($this->options->secret !== '') {
            $headers['Authorization'] = 'Bearer ' . $this->options->secret;
        }
        $reasons = [];
        foreach ($this->endpoints->inOrder() as $endpoint) {
            $text = self::format($endpoint, $method, $path, $headers, $body);
            try {
                $response = $this->attempt($endpoint, $text, $extraMs);
                $this->endpoints->worked($endpoint);
            } catch (TransportFailure $e) {
                $this->endpoints->failed($endpoint, $e->timedOut);
                $reasons[] = $endpoint->address() . ': ' . $e->getMessage();
                $resent = $resent || $e->sent;
                continue;
            }
            $resent = $resent || $response->resent;
            if ($response->status >= 200 && $response->status < 300) {
                return $response;
            }
            $error = self::error($this->cannot($what, $id), $response);
            if (!$error instanceof Unavailable) {
                throw $error;
            }
            $this->endpoints->failed($endpoint, false);
            $reasons[] = $endpoint->address() . ': ' . $error->getMessage();
            $resent = true;
        }
        if ($reasons === []) {
            $reasons[] = 'no sessiond answered in time when it was last tried, a moment ago';
        }
        throw new Unavailable("{$this->cannot($what, $id)}: " . implode('; ', $reasons));
    }

    /**
     * Asks one sessiond, and asks again if it had closed the kept connection meanwhile.
     *
     * @throws TransportFailure
     */
    private function attempt(Endpoint $endpoint, string $request, int $extraMs): Response
    {
        $timeoutMs = $this->options->timeoutMs + $extraMs;
        try {
            return $this->connection($endpoint)->exchange($request, $timeoutMs);
        } catch (TransportFailure $e) {
            if (!$e->stale) {
                throw $e;
            }
        }
        try {
            $response = $this->connection($endpoint, true)->exchange($request, $timeoutMs);
        } catch (TransportFailure $e) {
            throw new TransportFailure($e->getMessage(), true, false, $e->timedOut);
        }
        $response->resent = true;
        return $response;
    }

    /**
     * @param bool $fresh whether it must be a new one
     *
     * @throws TransportFailure
     */
    private function connection(Endpoint $endpoint, bool $fresh = false): Connection
    {
        $address = $endpoint->address();
        $connection = $this->connections[$address] ?? null;
        if ($connection === null || $fresh || !$connection->again()) {
            $connection = Connection::open($endpoint, $this->options->connectTimeoutMs, $fresh);
            $this->connections[$address] = $connection;
        }
        return $connection;
    }

    /**
     * @param array<string, string> $headers none of them with a line break
     */
    private static function format(
        Endpoint $endpoint,
        string $method,
        string $path,
        array $headers,
        string $body
    ): string {
        $head = "$method $path HTTP/1.1\r\nHost: {$endpoint->host()}\r\n";
        // One write for all of it: a head and a body that travel apart cost the server a second read.
        foreach ($headers as $name => $value) {
            $head .= "$name: $value\r\n";
        }
        if ($method !== 'GET') {
            $head .= 'Content-Length: ' . strlen($body) . "\r\n";
        }
        return "$head\r\n$body";
    }

    /**
     * Reads an error of sessiond. Only its own are taken at their word: the 404 of some other server at this address
     * must not pass for a session that does not exist.
     */
    private static function error(string $cannot, Response $response): SessionException
    {
        $problem = null;
        if (strncmp($response->header('content-type'), 'application/problem+json', 24) === 0) {
            $problem = json_decode($response->body, true);
        }
        $class = is_array($problem) && is_string($problem['title'] ?? null)
            ? self::ERRORS[$problem['title']] ?? null
            : null;
        if ($class === null) {
            return new Unavailable("status {$response->status}, not from a sessiond");
        }
        $detail = is_string($problem['detail'] ?? null) ? $problem['detail'] : $problem['title'];
        $detail = substr((string) preg_replace('~[^\x20-\x7e]~', '?', $detail), 0, 300);
        return new $class($class === Unavailable::class ? $detail : "$cannot: $detail");
    }

    private function version(string $what, string $id, Response $response): int
    {
        if (preg_match('~^"([0-9]{1,18})"$~D', $response->header('etag'), $m) !== 1) {
            throw $this->misunderstood($what, $id, $response);
        }
        return (int) $m[1];
    }

    private function done(string $what, string $id, Response $response): void
    {
        if ($response->status !== 204) {
            throw $this->misunderstood($what, $id, $response);
        }
    }

    /** How messages begin. */
    private function cannot(string $what, string $id): string
    {
        return "lvsession: cannot $what" . ($id === '' ? '' : ' session ' . $this->label($id));
    }

    private function misunderstood(string $what, string $id, Response $response): Unavailable
    {
        return new Unavailable("{$this->cannot($what, $id)}: the answer, status $response->status, is not sessiond's");
    }

    /**
     * @return array{0: array<string, string>, 1: string}
     */
    private static function json(string $body): array
    {
        return [['Content-Type' => self::JSON], $body];
    }

    /**
     * @return array<string, string>
     */
    private static function lease(string $token, bool $close = false): array
    {
        if ($token === '') {
            return [];
        }
        return ['Session-Lease' => $token] + ($close ? ['Session-Close' => '1'] : []);
    }
}
