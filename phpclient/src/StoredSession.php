<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * A session as sessiond gave it.
 */
final class StoredSession
{
    public string $payload;

    /** Grows by one with every write; 0 stands for a session that is not stored yet. */
    public int $version;

    /** Fencing token of the lease that open took, decimal; '' without one. */
    public string $lease;

    /** The lease could not be had in time, and sessiond gave the session to be read only. */
    public bool $readOnly;

    public function __construct(
        #[\SensitiveParameter]
        string $payload,
        int $version,
        string $lease = '',
        bool $readOnly = false
    ) {
        $this->payload = $payload;
        $this->version = $version;
        $this->lease = $lease;
        $this->readOnly = $readOnly;
    }
}
