<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * An exchange with one sessiond that did not come to a complete answer.
 *
 * @internal the client turns it into another attempt or into an Unavailable
 */
final class TransportFailure extends \RuntimeException
{
    /** Some of the request may have reached the server, so that it may have acted on it. */
    public bool $sent;

    /** The server closed a kept connection before it said anything: what an idle time-out or a restart looks like. */
    public bool $stale;

    /** The time for it ran out, so that trying again costs as much time again. */
    public bool $timedOut;

    public function __construct(string $message, bool $sent, bool $stale = false, bool $timedOut = false)
    {
        parent::__construct($message);
        $this->sent = $sent;
        $this->stale = $stale;
        $this->timedOut = $timedOut;
    }
}
