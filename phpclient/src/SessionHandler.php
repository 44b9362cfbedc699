<?php

declare(strict_types=1);

namespace Lvsession;

use Lvsession\Exception\Conflict;
use Lvsession\Exception\Destroyed;
use Lvsession\Exception\Locked;
use Lvsession\Exception\NotFound;
use Lvsession\Exception\SessionException;
use Lvsession\Exception\Unavailable;

/**
 * Keeps PHP's sessions in sessiond.
 *
 * PHP calls the methods in the order that ext/session/session.c lays down: open, validateId (strict mode, an id came
 * with the request), create_sid (none did, or it is not valid), read; then write or, if nothing changed,
 * updateTimestamp; then close. After open the last of them is close, so write, updateTimestamp and destroy release the
 * lease in the same exchange. Frameworks call read, write and destroy alone; that works too, and their lease ends with
 * the next read of another session, with destroy or with this object.
 *
 * A process that was forked from the one that opened a session stores nothing of it and releases nothing: its parent
 * still has the session.
 *
 * Errors: a session that cannot be had makes read() throw a SessionException (Options::FAILURE_THROW) or warn and
 * return false, so that session_start() fails. It yields an empty session instead only if FAILURE_READ_ONLY_EMPTY asks
 * for that, and then stores nothing under that id. A change that cannot be stored
 * makes write(), updateTimestamp() and destroy() warn with E_USER_WARNING and return false, as PHP expects of a
 * handler; lastError() and commit() tell a script about it.
 */
class SessionHandler implements
    \SessionHandlerInterface,
    \SessionIdInterface,
    \SessionUpdateTimestampHandlerInterface
{
    /** How many ids of create_sid() are remembered as unknown to the store. */
    private const MAX_FRESH = 16;

    private Options $options;
    private Client $client;

    /** Id of the session in use, '' for none. */
    private string $id = '';

    /** The session in use as the store has it. */
    private StoredSession $session;

    /** $session was loaded by validateId() and read() has not returned it yet. */
    private bool $loaded = false;

    /** PHP drives this handler, and has called open() but not close(). */
    private bool $opened = false;

    /** Process that the session is in use by. */
    private int $owner = 0;

    /** Why validateId() could not load the session: for read() to report. */
    private ?SessionException $deferred = null;

    /** @var array<string, true> ids of create_sid(): nobody else can know them, so nothing is stored under them */
    private array $fresh = [];

    private ?SessionException $lastError = null;

    /**
     * @param Options|array<string, mixed> $options
     *
     * @throws \InvalidArgumentException
     */
    public function __construct($options = [])
    {
        $this->options = $options instanceof Options ? $options : new Options($options);
        $this->client = new Client($this->options);
        $this->session = new StoredSession('', Client::ANY_VERSION);
    }

    /**
     * Makes sessiond the home of this script's sessions; call it before session_start(). Turns strict mode on, unless
     * told otherwise, and PHP's own garbage collection off: sessiond collects by itself.
     *
     * @param Options|array<string, mixed> $options what an array does not name is taken from the environment, see
     *                                              Options::fromEnvironment()
     *
     * @throws \InvalidArgumentException for an option that is unknown or out of range
     * @throws \LogicException if the session has begun or output was sent already
     */
    public static function register($options = []): self
    {
        if (session_status() === PHP_SESSION_ACTIVE || headers_sent()) {
            throw new \LogicException('lvsession: register the session handler before session_start() and any output');
        }
        $handler = new self($options instanceof Options ? $options : Options::fromEnvironment($options));
        if ($handler->options->strictMode) {
            ini_set('session.use_strict_mode', '1');
        }
        ini_set('session.gc_probability', '0');
        if (!session_set_save_handler($handler, true)) {
            throw new \LogicException('lvsession: PHP refuses the session handler');
        }
        return $handler;
    }

    /** Releases the lease of a script that never called close(), as when a framework drives the handler. */
    public function __destruct()
    {
        $this->leave();
    }

    /**
     * Stores and closes the session like session_write_close(), and throws if the store did not acknowledge it:
     * session_write_close() itself returns true all the same. For scripts that answer only what is stored.
     *
     * @throws SessionException
     */
    public function commit(): void
    {
        $this->lastError = null;
        session_write_close();
        if ($this->lastError !== null) {
            throw $this->lastError;
        }
    }

    /** What went wrong last, since open() or commit(); null if nothing did. */
    public function lastError(): ?SessionException
    {
        return $this->lastError;
    }

    /**
     * Does nothing yet: the store is asked once there is an id.
     *
     * @param string $path session.save_path, unused
     * @param string $name session.name, unused
     */
    public function open($path, $name): bool
    {
        $this->lastError = null;
        $this->deferred = null;
        $this->opened = true;
        return true;
    }

    public function close(): bool
    {
        $this->deferred = null;
        $this->opened = false;
        return $this->leave();
    }

    /** Makes an id of 256 random bits, in the alphabet of sessiond's own: 52 characters of [a-z2-7]. */
    public function create_sid(): string // phpcs:ignore PSR1.Methods.CamelCapsMethodName -- PHP names it
    {
        $id = self::base32(random_bytes(32));
        $this->fresh[$id] = true;
        if (count($this->fresh) > self::MAX_FRESH) {
            unset($this->fresh[array_key_first($this->fresh)]);
        }
        return $id;
    }

    /**
     * Whether the store knows the id. The session is loaded, and locked, on this occasion: read() costs nothing then.
     *
     * If the store cannot tell, the answer is true: on false PHP would hand the visitor another id and so log him out.
     * It is then for read() to fail.
     *
     * @param string $id
     */
    public function validateId(
        #[\SensitiveParameter]
        $id
    ): bool {
        if (isset($this->fresh[$id]) || !Client::isId($id)) {
            return false;
        }
        try {
            if ($this->id !== '' && $this->id !== $id) {
                // session_create_id() asks about an id while another session is in use: leave that one alone.
                return $this->client->read($id) !== null;
            }
            return $this->load($id);
        } catch (SessionException $e) {
            $this->deferred = $e;
            return true;
        }
    }

    /**
     * Returns the session's payload, '' for one that does not exist.
     *
     * @param string $id
     *
     * @return string|false
     *
     * @throws SessionException if the options ask for exceptions
     */
    #[\ReturnTypeWillChange]
    public function read(
        #[\SensitiveParameter]
        $id
    ) {
        try {
            if ($this->deferred !== null) {
                throw $this->deferred;
            }
            if (isset($this->fresh[$id])) {
                $this->enter($id, new StoredSession('', Client::NO_VERSION));
            } elseif (!($this->loaded && $this->id === $id) && !$this->load($id)) {
                $this->adopt($id);
            }
        } catch (SessionException $e) {
            return $this->unread($id, $e);
        }
        $this->loaded = false;
        return $this->session->payload;
    }

    /**
     * @param string $id
     * @param string $data
     */
    public function write(
        #[\SensitiveParameter]
        $id,
        #[\SensitiveParameter]
        $data
    ): bool {
        try {
            $this->store($id, $data);
            return true;
        } catch (Destroyed $e) {
            // Nothing is lost if there is nothing to store.
            return $data === '' || $this->unwritten($e);
        } catch (SessionException $e) {
            return $this->unwritten($e);
        }
    }

    /**
     * Moves the expiry of a session that did not change.
     *
     * @param string $id
     * @param string $data the payload, for the case that the session has expired meanwhile
     */
    public function updateTimestamp(
        #[\SensitiveParameter]
        $id,
        #[\SensitiveParameter]
        $data
    ): bool {
        if ($this->id === $id && ($this->isForked() || $this->session->readOnly)) {
            return true; // nothing changed, and whoever has the session moves its expiry
        }
        unset($this->fresh[$id]);
        $lease = $this->lastLease($id);
        try {
            // Only an empty session may be created by a touch: one with a payload would come back without it.
            $this->client->touch($id, $data === '', $this->idleMs(), $lease);
            $this->released($lease);
            return true;
        } catch (NotFound $e) {
            return $this->write($id, $data);
        } catch (Destroyed $e) {
            return true; // another request ended the session, and there is nothing to store
        } catch (SessionException $e) {
            return $this->unwritten($e);
        }
    }

    /**
     * @param string $id
     */
    public function destroy(
        #[\SensitiveParameter]
        $id
    ): bool {
        unset($this->fresh[$id]);
        $lease = $this->id === $id && !$this->isForked() ? $this->session->lease : '';
        try {
            $this->client->destroy($id, $lease);
            $this->released($lease);
        } catch (SessionException $e) {
            return $this->unwritten($e);
        }
        return $this->id !== $id || $this->leave();
    }

    /**
     * Asks sessiond for one bounded collection. It does that by itself; register() turns PHP's calls off.
     *
     * @param int $max_lifetime unused: each session has its own end
     *
     * @return int|false how many sessions were removed
     */
    #[\ReturnTypeWillChange]
    public function gc($max_lifetime)
    {
        try {
            return $this->client->gc();
        } catch (SessionException $e) {
            $this->warn($e);
            return false;
        }
    }

    /**
     * Makes the session with this id the one in use.
     *
     * @return bool false if the store does not know it; none is in use then
     *
     * @throws SessionException
     */
    private function load(string $id): bool
    {
        $lease = $this->id === $id ? $this->session->lease : '';
        if ($lease !== '') {
            $session = $this->client->read($id); // session_reset(): the lease is ours already
        } elseif ($this->options->locking === Options::LOCKING_LEASE) {
            $this->leave();
            $session = $this->client->open($id);
        } else {
            $session = $this->client->read($id);
        }
        if ($session === null) {
            $this->leave();
            return false;
        }
        if ($lease !== '') {
            $session->lease = $lease;
        }
        $this->enter($id, $session);
        $this->loaded = true;
        return true;
    }

    /**
     * Begins a session under an id that the store does not know. In strict mode that is one which PHP itself, or a
     * framework, has just made: nobody else knows it. Without strict mode it may be one that the visitor chose.
     *
     * Then, under a lock, the session is created at once: there is no lease on what does not exist, and a second
     * request with this id must wait for the first.
     *
     * @throws SessionException
     */
    private function adopt(string $id): void
    {
        $strict = ini_get('session.use_strict_mode') === '1';
        if ($this->options->locking === Options::LOCKING_LEASE && !$strict) {
            try {
                $this->client->touch($id, true, $this->idleMs());
                if ($this->load($id)) {
                    return;
                }
            } catch (Destroyed $e) {
                // Logged out a moment ago: an empty session is what there is, and write() refuses to fill it.
                unset($e);
            }
        }
        $this->enter($id, new StoredSession('', Client::NO_VERSION));
    }

    /**
     * @throws SessionException
     */
    private function store(string $id, string $data): void
    {
        if ($this->id === $id && ($this->isForked() || $this->session->readOnly)) {
            $this->refuse($id, $data);
            return;
        }
        $known = $this->id === $id && $this->options->locking !== Options::LOCKING_NONE;
        $version = $known ? $this->session->version : Client::ANY_VERSION;
        $lease = $this->id === $id ? $this->session->lease : '';
        unset($this->fresh[$id]);
        $last = $this->lastLease($id) !== '';
        try {
            $version = $this->client->write($id, $data, $version, $lease, $this->idleMs(), $last);
        } catch (NotFound $e) {
            // It expired while this request had it: the visitor was here in time, so it goes on.
            $version = $this->client->write($id, $data, Client::NO_VERSION, $lease, $this->idleMs(), $last);
        }
        if ($last) {
            $this->released($lease);
        }
        if ($this->id === $id) {
            $this->session->version = $version;
            $this->session->payload = $data;
        }
    }

    /**
     * Answers the write of a session that this process may not write: that is an error only if it changed.
     *
     * @throws SessionException
     */
    private function refuse(string $id, string $data): void
    {
        if ($data === $this->session->payload) {
            return;
        }
        $label = $this->client->label($id);
        if ($this->isForked()) {
            throw new Conflict("lvsession: cannot write session $label: the process that forked this one has it");
        }
        throw new Locked("lvsession: cannot write session $label: it was opened to be read only");
    }

    /** The lease that the next call releases together with what it does, '' for none: PHP calls close() after that. */
    private function lastLease(string $id): string
    {
        return $this->opened && $this->id === $id ? $this->session->lease : '';
    }

    private function released(string $lease): void
    {
        if ($lease !== '') {
            $this->session->lease = '';
        }
    }

    /** Whether the session in use is that of a process which has forked this one. */
    private function isForked(): bool
    {
        return $this->id !== '' && $this->owner !== getmypid();
    }

    private function enter(string $id, StoredSession $session): void
    {
        if ($this->id !== $id) {
            $this->leave();
        }
        $this->id = $id;
        $this->session = $session;
        $this->loaded = false;
        $this->owner = (int) getmypid();
    }

    /** Lets go of the session in use: ends its lease if it has one. */
    private function leave(): bool
    {
        $id = $this->id;
        $lease = $this->isForked() ? '' : $this->session->lease;
        $this->id = '';
        $this->session = new StoredSession('', Client::ANY_VERSION);
        $this->loaded = false;
        if ($lease === '') {
            return true;
        }
        try {
            $this->client->close($id, $lease);
            return true;
        } catch (SessionException $e) {
            $this->warn($e);
            return false;
        }
    }

    /**
     * @return string|false what read() returns
     *
     * @throws SessionException
     */
    private function unread(string $id, SessionException $e)
    {
        $this->deferred = null;
        $this->leave();
        $this->lastError = $e;
        if ($this->options->onFailure === Options::FAILURE_THROW) {
            throw $e;
        }
        $this->warn($e);
        if ($this->options->onFailure !== Options::FAILURE_READ_ONLY_EMPTY || !$e instanceof Unavailable) {
            return false;
        }
        $this->enter($id, new StoredSession('', Client::ANY_VERSION, '', true));
        return '';
    }

    /**
     * @return false
     */
    private function unwritten(SessionException $e): bool
    {
        // An error handler may turn the warning into an exception, and then PHP does not call close() any more.
        $this->leave();
        $this->lastError = $e;
        $this->warn($e);
        return false;
    }

    private function warn(SessionException $e): void
    {
        trigger_error($e->getMessage(), E_USER_WARNING);
    }

    private function idleMs(): int
    {
        if ($this->options->idleMs > 0) {
            return $this->options->idleMs;
        }
        return min(max(1, (int) ini_get('session.gc_maxlifetime')) * 1000, Options::MAX_MS);
    }

    private static function base32(string $bytes): string
    {
        $alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
        $text = '';
        $bits = 0;
        $held = 0;
        foreach (str_split($bytes) as $byte) {
            $held = ($held << 8) | ord($byte);
            for ($bits += 8; $bits >= 5; $bits -= 5) {
                $text .= $alphabet[($held >> ($bits - 5)) & 31];
            }
            $held &= (1 << $bits) - 1;
        }
        return $bits > 0 ? $text . $alphabet[($held << (5 - $bits)) & 31] : $text;
    }
}
