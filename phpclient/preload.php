<?php

/**
 * Loads the package once, when PHP starts, rather than in each request. In php.ini, beside what prepend.php needs:
 *
 *     opcache.preload = "/usr/share/php/lvsession/preload.php"
 *     opcache.preload_user = www-data
 */

declare(strict_types=1);

require_once __DIR__ . '/autoload.php';

foreach (array_merge(glob(__DIR__ . '/src/*.php') ?: [], glob(__DIR__ . '/src/Exception/*.php') ?: []) as $file) {
    require_once $file;
}
