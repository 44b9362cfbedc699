<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * The one handler behind the callbacks of legacy.php.
 */
final class Legacy
{
    private static ?SessionHandler $handler = null;

    /**
     * @throws \InvalidArgumentException if the environment's settings are unknown or out of range
     */
    public static function handler(): SessionHandler
    {
        if (self::$handler === null) {
            self::$handler = new SessionHandler(Options::fromEnvironment());
            // With callbacks PHP would store the session only after it has destroyed all objects, this handler too.
            register_shutdown_function('session_write_close');
        }
        return self::$handler;
    }
}
