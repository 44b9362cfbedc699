<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use Lvsession\SessionHandler;

/**
 * This package's handler, recorded.
 */
final class Recorder extends SessionHandler
{
    use Recording;
}
