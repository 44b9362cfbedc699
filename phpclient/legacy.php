<?php

/**
 * The six functions of a session handler as callbacks, for code that was written around them:
 *
 *     require 'legacy.php';
 *     session_set_save_handler('_open', '_close', '_read', '_write', '_destroy', '_clean');
 *     session_start();
 *
 * Settings come from the environment: see Options::fromEnvironment(). A function that exists already is left alone.
 *
 * Six callbacks cannot tell PHP which ids exist, so session.use_strict_mode has no effect and PHP adopts any id that a
 * visitor sends (session fixation): call session_regenerate_id(true) at login. SessionHandler::register() has no such
 * weakness.
 */

declare(strict_types=1);

require_once __DIR__ . '/autoload.php';

if (!function_exists('_open')) {
    /**
     * @param string $path
     * @param string $name
     */
    function _open($path, $name): bool
    {
        return \Lvsession\Legacy::handler()->open($path, $name);
    }
}

if (!function_exists('_close')) {
    function _close(): bool
    {
        return \Lvsession\Legacy::handler()->close();
    }
}

if (!function_exists('_read')) {
    /**
     * @param string $id
     *
     * @return string|false
     */
    function _read(
        #[\SensitiveParameter]
        $id
    ) {
        return \Lvsession\Legacy::handler()->read($id);
    }
}

if (!function_exists('_write')) {
    /**
     * @param string $id
     * @param string $data
     */
    function _write(
        #[\SensitiveParameter]
        $id,
        #[\SensitiveParameter]
        $data
    ): bool {
        return \Lvsession\Legacy::handler()->write($id, $data);
    }
}

if (!function_exists('_destroy')) {
    /**
     * @param string $id
     */
    function _destroy(
        #[\SensitiveParameter]
        $id
    ): bool {
        return \Lvsession\Legacy::handler()->destroy($id);
    }
}

if (!function_exists('_clean')) {
    /**
     * @param int $maxLifetime
     *
     * @return int|false
     */
    function _clean($maxLifetime)
    {
        return \Lvsession\Legacy::handler()->gc($maxLifetime);
    }
}
