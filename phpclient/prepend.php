<?php

/**
 * Registers the session handler for every script of a site without a change to any of them. In php.ini:
 *
 *     auto_prepend_file = "/usr/share/php/lvsession/prepend.php"
 *     lvsession.endpoints = "http://127.0.0.1:8090"
 */

declare(strict_types=1);

require_once __DIR__ . '/autoload.php';

if (session_status() === PHP_SESSION_NONE) {
    \Lvsession\SessionHandler::register();
}
