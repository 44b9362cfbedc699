<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use Lvsession\Client;
use Lvsession\Options;
use PHPUnit\Framework\TestCase;

/**
 * The recipes of docs/php.md with the frameworks' own session code, as Debian packages it. A script is one request.
 */
final class FrameworksTest extends TestCase
{
    private const SYMFONY = 'require "autoload.php"; ob_start();'
        . 'require "Symfony/Component/HttpFoundation/autoload.php";'
        . '$storage = new Symfony\Component\HttpFoundation\Session\Storage\NativeSessionStorage('
        . '["use_strict_mode" => true], new Lvsession\SessionHandler(Lvsession\Options::fromEnvironment()));'
        . '$session = new Symfony\Component\HttpFoundation\Session\Session($storage);';

    private const LARAVEL = 'require "autoload.php";'
        . 'foreach (["Config", "Container", "Session", "Support"] as $package) {'
        . 'require "Illuminate/$package/autoload.php"; }'
        . 'require "examples/laravel/LvsessionServiceProvider.php";'
        . '$app = new Illuminate\Container\Container();'
        . '$app->instance("config", new Illuminate\Config\Repository(["session" => ['
        . '"driver" => "lvsession", "lifetime" => 5, "cookie" => "laravel_session", "encrypt" => false]]));'
        . '$app->singleton("session", function ($app) { return new Illuminate\Session\SessionManager($app); });'
        . '$provider = new App\Providers\LvsessionServiceProvider($app); $provider->boot();'
        . '$session = $app->make("session")->driver();';

    private static function symfony(string $id, string $request): array
    {
        $setId = $id === '' ? '' : "\$session->setId('$id');";
        return Script::run(self::SYMFONY . $setId . $request, ['error_reporting' => (string) (E_ALL & ~E_DEPRECATED)]);
    }

    private static function laravel(string $id, string $request): array
    {
        $setId = $id === '' ? '' : "\$session->setId('$id');";
        return Script::run(self::LARAVEL . $setId . $request, ['error_reporting' => (string) (E_ALL & ~E_DEPRECATED)]);
    }

    /** Throws if another request has left the session's lock behind. */
    private static function assertNotLocked(string $id): void
    {
        $client = new Client(new Options(['endpoints' => Sessiond::shared()->http, 'lock_wait_ms' => 0]));
        $session = $client->open($id);
        self::assertNotNull($session);
        $client->close($id, $session->lease);
    }

    public function testSymfony(): void
    {
        $visit = '$n = $session->get("n", 0) + 1; $session->set("n", $n); $session->save();'
            . 'echo json_encode([$session->getId(), $n]);';
        [$id, $n] = self::symfony('', $visit);
        self::assertSame(1, $n);
        self::assertSame([$id, 2], self::symfony($id, $visit));
        self::assertNotLocked($id);
        [$new, $n] = self::symfony($id, '$session->start(); $session->migrate(true);' . $visit);
        self::assertNotSame($id, $new);
        self::assertSame(3, $n);
        [$other, $n] = self::symfony($id, $visit);
        self::assertSame(1, $n, 'the old id still works');
        self::assertNotSame($id, $other);
        self::assertSame([$new, 4], self::symfony($new, $visit));
        [$last, $n] = self::symfony($new, '$session->start(); $session->invalidate();' . $visit);
        self::assertNotSame($new, $last);
        self::assertSame(1, $n);
    }

    public function testLaravel(): void
    {
        $visit = '$session->put("n", $session->get("n", 0) + 1); $session->save();'
            . 'echo json_encode([$session->getId(), $session->get("n")]);';
        [$id, $n] = self::laravel('', '$session->start();' . $visit);
        self::assertSame(1, $n);
        self::assertSame([$id, 2], self::laravel($id, '$session->start();' . $visit));
        self::assertNotLocked($id);
        [$new, $n] = self::laravel($id, '$session->start(); $session->regenerate(true);' . $visit);
        self::assertNotSame($id, $new);
        self::assertSame(3, $n);
        self::assertSame([$new, 4], self::laravel($new, '$session->start();' . $visit));
        [$last, $n] = self::laravel($new, '$session->start(); $session->invalidate();' . $visit);
        self::assertNotSame($new, $last);
        self::assertSame(1, $n);
        self::assertNull((new Client(new Options(['endpoints' => Sessiond::shared()->http])))->read($new));
    }
}
