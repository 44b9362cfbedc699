<?php

declare(strict_types=1);

namespace App\Providers;

use Illuminate\Contracts\Container\Container;
use Illuminate\Support\ServiceProvider;
use Lvsession\Options;
use Lvsession\SessionHandler;

/**
 * Makes sessiond a session driver of Laravel. Put this file into app/Providers, add the class to the application's
 * providers, and say SESSION_DRIVER=lvsession in .env. Settings are those of docs/php.md, in the environment
 * (LVSESSION_ENDPOINTS, …) or in config/session.php under 'lvsession'; the lifetime is Laravel's own.
 */
final class LvsessionServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        $this->app->make('session')->extend('lvsession', static function (Container $app): SessionHandler {
            $session = $app->make('config')->get('session');
            return new SessionHandler(Options::fromEnvironment(
                ($session['lvsession'] ?? []) + ['idle_ms' => (int) $session['lifetime'] * 60000]
            ));
        });
    }
}
