<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * The way in: Lvsession\Session::register() before session_start().
 */
final class Session
{
    /**
     * Makes sessiond the home of this script's sessions.
     *
     * @param Options|array<string, mixed> $options docs/php.md lists them
     *
     * @throws \InvalidArgumentException naming the option that is unknown or out of range
     * @throws \LogicException if the session has begun or output was sent already
     */
    public static function register($options = []): SessionHandler
    {
        return SessionHandler::register($options);
    }
}
