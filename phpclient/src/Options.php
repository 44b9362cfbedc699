<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * What a site may choose. Immutable; docs/php.md tells when to choose what.
 */
final class Options
{
    /** One request at a time has the session, as with PHP's files handler. */
    public const LOCKING_LEASE = 'lease';

    /** No lock; a write is refused if another request wrote since the read. */
    public const LOCKING_OPTIMISTIC = 'optimistic';

    /** No lock; the last writer wins and the others' changes are lost, as with memcached. */
    public const LOCKING_NONE = 'none';

    /** A session that cannot be had ends session_start() with a SessionException. */
    public const FAILURE_THROW = 'throw';

    /** A session that cannot be had makes session_start() warn and return false. */
    public const FAILURE_WARN = 'warn';

    /** A session that cannot be had is an empty one for this request, with a warning; nothing of it is stored. */
    public const FAILURE_READ_ONLY_EMPTY = 'read-only-empty';

    /** Where to look for settings that no option names: constants and environment variables, in this order. */
    private const SETTINGS = [
        'LVSESSION_ENDPOINTS' => 'endpoints',
        'LVSESSION_NAMESPACE' => 'namespace',
        'LVSESSION_SECRET' => 'secret',
        'LVSESSION_CA_FILE' => 'ca_file',
        'LVSESSION_CLIENT_CERT' => 'client_cert',
        'LVSESSION_CLIENT_KEY' => 'client_key',
        'LVSESSION_LOCKING' => 'locking',
        'LVSESSION_LOCK_TTL_MS' => 'lock_ttl_ms',
        'LVSESSION_LOCK_WAIT_MS' => 'lock_wait_ms',
        'LVSESSION_IDLE_MS' => 'idle_ms',
        'LVSESSION_CONNECT_TIMEOUT_MS' => 'connect_timeout_ms',
        'LVSESSION_TIMEOUT_MS' => 'timeout_ms',
        'LVSESSION_ON_FAILURE' => 'on_failure',
        'LVSESSION_BREAKER' => 'breaker',
        'LVSESSION_STRICT_MODE' => 'strict_mode',
    ];

    private const DEFAULTS = [
        'endpoints' => 'http://127.0.0.1:8090',
        'namespace' => 'default',
        'secret' => '',
        'ca_file' => '',
        'client_cert' => '',
        'client_key' => '',
        'locking' => self::LOCKING_LEASE,
        'lock_ttl_ms' => 30000,
        'lock_wait_ms' => 40000,
        'idle_ms' => 0,
        'connect_timeout_ms' => 1000,
        'timeout_ms' => 5000,
        'on_failure' => self::FAILURE_THROW,
        'breaker' => true,
        'strict_mode' => true,
    ];

    /** Longest time that sessiond is asked for, in milliseconds: a year. Its own limit is 400 days. */
    public const MAX_MS = 31536000000;

    /** @var list<Endpoint> tried in this order */
    public array $endpoints;

    /** sessiond's namespace, 1 to 64 characters of [a-z0-9_.-]. */
    public string $namespace;

    /** What sessiond wants to see before it serves the namespace, '' for nothing. */
    public string $secret;

    /** One of the LOCKING constants. */
    public string $locking;

    /** When a lease ends by itself if the script does not end it: longer than scripts take. */
    public int $lockTtlMs;

    /**
     * How long session_start() waits for another request's lease; 0 means not at all. Longer than the lease, so that
     * the crash of its holder costs the next request time but not its session.
     */
    public int $lockWaitMs;

    /** How long after its last use a session expires; 0 means session.gc_maxlifetime. */
    public int $idleMs;

    /** How long to wait for a connection to one sessiond. */
    public int $connectTimeoutMs;

    /** How long one sessiond has to answer, beyond any wait for a lock. */
    public int $timeoutMs;

    /** One of the FAILURE constants. */
    public string $onFailure;

    /** Whether the PHP processes of a machine tell each other which sessiond does not answer. */
    public bool $breaker;

    /** Whether SessionHandler::register() turns session.use_strict_mode on. */
    public bool $strictMode;

    /**
     * @param array<string, mixed> $options by the names of DEFAULTS; endpoints is a list or a string with commas
     *
     * @throws \InvalidArgumentException naming the option that is unknown or out of range
     */
    public function __construct(array $options = [])
    {
        $unknown = array_diff_key($options, self::DEFAULTS);
        if ($unknown !== []) {
            throw new \InvalidArgumentException('lvsession: unknown option "' . array_key_first($unknown) . '"');
        }
        $options += self::DEFAULTS;
        $this->endpoints = self::readEndpoints($options['endpoints'], self::readTls($options));
        $this->namespace = self::readNamespace($options['namespace']);
        $this->secret = self::readSecret($options['secret']);
        $this->locking = self::readWord(
            'locking',
            $options['locking'],
            [self::LOCKING_LEASE, self::LOCKING_OPTIMISTIC, self::LOCKING_NONE]
        );
        $this->lockTtlMs = self::readMs('lock_ttl_ms', $options['lock_ttl_ms'], 1);
        $this->lockWaitMs = self::readMs('lock_wait_ms', $options['lock_wait_ms'], 0);
        $this->idleMs = self::readMs('idle_ms', $options['idle_ms'], 0);
        $this->connectTimeoutMs = self::readMs('connect_timeout_ms', $options['connect_timeout_ms'], 1);
        $this->timeoutMs = self::readMs('timeout_ms', $options['timeout_ms'], 1);
        $this->onFailure = self::readWord(
            'on_failure',
            $options['on_failure'],
            [self::FAILURE_THROW, self::FAILURE_WARN, self::FAILURE_READ_ONLY_EMPTY]
        );
        $this->breaker = self::readBool('breaker', $options['breaker']);
        $this->strictMode = self::readBool('strict_mode', $options['strict_mode']);
    }

    /**
     * What var_dump() and dumps of frameworks show: all but the secret.
     *
     * @return array<string, mixed>
     */
    public function __debugInfo(): array
    {
        return ['secret' => $this->secret === '' ? '' : '…'] + get_object_vars($this);
    }

    /**
     * Adds the settings of the machine to those of the code: what $options does not name is taken from the constant
     * LVSESSION_…, else from the environment variable LVSESSION_…, else from the php.ini line lvsession.….
     *
     * @param array<string, mixed> $options
     *
     * @throws \InvalidArgumentException naming the option that is unknown or out of range
     */
    public static function fromEnvironment(array $options = []): self
    {
        foreach (self::SETTINGS as $name => $option) {
            if (array_key_exists($option, $options)) {
                continue;
            }
            if (defined($name)) {
                $options[$option] = constant($name);
                continue;
            }
            // What a visitor sends cannot be taken for environment: in FastCGI his headers all begin with HTTP_.
            $value = getenv($name);
            if ($value === false || $value === '') {
                $value = get_cfg_var('lvsession.' . $option);
            }
            if ($value !== false) {
                $options[$option] = $value;
            }
        }
        return new self($options);
    }

    /**
     * @param mixed $value
     *
     * @return list<Endpoint>
     */
    private static function readEndpoints($value, ?Tls $tls): array
    {
        $urls = is_string($value) ? explode(',', $value) : $value;
        if (!is_array($urls) || $urls === []) {
            throw new \InvalidArgumentException('lvsession: option "endpoints" names no sessiond');
        }
        return array_map(static function ($url) use ($tls): Endpoint {
            return Endpoint::parse(is_string($url) ? trim($url) : '', $tls);
        }, array_values($urls));
    }

    /**
     * @param mixed $value
     */
    private static function readNamespace($value): string
    {
        if (!is_string($value) || preg_match('~^[a-z0-9][a-z0-9_.-]{0,63}$~D', $value) !== 1) {
            throw new \InvalidArgumentException(
                'lvsession: option "namespace" has 1 to 64 characters of a-z, 0-9, and after the first also _ . -'
            );
        }
        return $value;
    }

    /**
     * @param array<string, mixed> $options
     */
    private static function readTls(array $options): ?Tls
    {
        $none = $options['ca_file'] === '' && $options['client_cert'] === '' && $options['client_key'] === '';
        return $none ? null : Tls::fromOptions($options);
    }

    /**
     * The message does not quote what was given: it may be most of the secret.
     *
     * @param mixed $value
     */
    private static function readSecret(
        #[\SensitiveParameter]
        $value
    ): string {
        if (!is_string($value) || preg_match('~^[\x21-\x7e]{0,1024}$~D', $value) !== 1) {
            throw new \InvalidArgumentException(
                'lvsession: option "secret" has at most 1024 characters of printable ASCII, without spaces'
            );
        }
        return $value;
    }

    /**
     * @param mixed        $value
     * @param list<string> $words
     */
    private static function readWord(string $option, $value, array $words): string
    {
        if (!in_array($value, $words, true)) {
            throw new \InvalidArgumentException("lvsession: option \"$option\" is one of " . implode(', ', $words));
        }
        return $value;
    }

    /**
     * @param mixed $value an integer, or a string of digits as the environment gives it
     */
    private static function readMs(string $option, $value, int $least): int
    {
        if (is_string($value) && preg_match('~^[0-9]{1,12}$~D', $value) === 1) {
            $value = (int) $value;
        }
        if (!is_int($value) || $value < $least || $value > self::MAX_MS) {
            throw new \InvalidArgumentException(
                "lvsession: option \"$option\" is a number of milliseconds, at least $least"
            );
        }
        return $value;
    }

    /**
     * @param mixed $value a boolean, or what php.ini and the environment write for one
     */
    private static function readBool(string $option, $value): bool
    {
        $word = is_string($value) ? strtolower($value) : $value;
        $true = in_array($word, [true, 1, '1', 'true', 'on', 'yes'], true);
        if (!$true && !in_array($word, [false, 0, '0', '', 'false', 'off', 'no'], true)) {
            throw new \InvalidArgumentException("lvsession: option \"$option\" is true or false");
        }
        return $true;
    }
}
