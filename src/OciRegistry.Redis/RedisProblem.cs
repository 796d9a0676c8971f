using System.Net.Sockets;
using System.Security.Authentication;
using StackExchange.Redis;

namespace OciRegistry.Redis;

/// <summary>What a failed call says about a server, and what to do about it.</summary>
internal static class RedisProblem
{
    /// <summary>Whether it is a failure that a server or the way to it can cause; everything else is ours.</summary>
    public static bool IsOne(Exception exception) => exception
        is RedisException            // also that it cannot be reached, and its own errors
        or RedisCommandException     // a command that was switched off by configuration
        or TimeoutException
        or SocketException or IOException or AuthenticationException // on the way to a connection
        or InvalidOperationException // disposed: the connection was given up for a new one meanwhile
        or OperationCanceledException
        or InvalidCastException      // an answer, but not what Redis answers
        or FormatException
        or OverflowException
        or AggregateException;

    /// <summary>Somebody else has a value under one of our keys: nothing is wrong with the server.</summary>
    public static bool IsForeignKey(Exception exception) =>
        exception is RedisServerException && Has(exception, "WRONGTYPE");

    /// <summary>A sentence on the failure and one on the remedy.</summary>
    public static string Describe(string server, Exception exception, TimeSpan timeout)
    {
        var said = exception.Message.Split('\n', ';')[0].TrimEnd('.', '\r', ' ');
        return exception switch
        {
            _ when Has(exception, "NOAUTH") || Has(exception, "WRONGPASS") || Has(exception, "invalid password")
                || Has(exception, "AuthenticationFailure") =>
                $"{server} refuses the password. Set the right one, as password=..., in Redis:Configuration.",
            _ when Has(exception, "NOPERM") =>
                $"{server} forbids the default user what locks need: {said}. Allow it.",
            _ when Has(exception, "OOM ") =>
                $"{server} is full: it refuses writes beyond its maxmemory. Raise that, or find out what fills it.",
            _ when Has(exception, "MISCONF") =>
                $"{server} refuses writes, because it cannot save to its disk. Its log says why.",
            _ when Has(exception, "READONLY") =>
                $"{server} is a replica, which takes no writes. Set Redis:Configuration to the address of the primary.",
            _ when Has(exception, "LOADING") =>
                $"{server} is still loading its data. Wait.",
            _ when Has(exception, "Unexpected response") || Has(exception, "ProtocolFailure")
                || exception is InvalidCastException or FormatException or OverflowException =>
                $"{server} does not answer as Redis does. Check the address and ssl in Redis:Configuration.",
            RedisServerException or RedisCommandException => $"{server} refuses what locks need: {said}. Its log may say why.",
            TimeoutException => $"{server} does not answer within {timeout.TotalMilliseconds:0} ms. Check its load and the "
                + "network.",
            _ => $"{server} cannot be reached. Check that it runs, and its address and ssl in Redis:Configuration.",
        };
    }

    private static bool Has(Exception exception, string text)
    {
        for (var e = exception; e is not null; e = e.InnerException)
        {
            if (e.Message.Contains(text, StringComparison.Ordinal))
            {
                return true;
            }
        }

        return false;
    }
}
