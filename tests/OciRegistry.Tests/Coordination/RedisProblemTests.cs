using OciRegistry.Redis;

namespace OciRegistry.Tests.Coordination;

/// <summary>What operators are told, for failures that no test can bring about everywhere as well.</summary>
public sealed class RedisProblemTests
{
    [Theory]
    [InlineData("NOAUTH Authentication required.", "refuses the password. Set the right one")]
    [InlineData("WRONGPASS invalid username-password pair or user is disabled.", "refuses the password. Set the right one")]
    [InlineData("ERR invalid password", "refuses the password. Set the right one")]
    [InlineData("NOPERM this user has no permissions to run the 'eval' command", "forbids the default user what locks need: NOPERM")]
    [InlineData("OOM command not allowed when used memory > 'maxmemory'.", "is full")]
    [InlineData("MISCONF Redis is configured to save RDB snapshots", "refuses writes, because it cannot save to its disk")]
    [InlineData("READONLY You can't write against a read only replica.", "is a replica, which takes no writes")]
    [InlineData("LOADING Redis is loading the dataset in memory", "is still loading its data. Wait.")]
    [InlineData("Unexpected response prefix: H", "does not answer as Redis does")]
    [InlineData("No connection is available to service this operation: PING; SocketFailure on a:1/Interactive", "cannot be reached.")]
    public void A_failure_is_told_with_the_remedy(string message, string sentence) =>
        Describe(new IOException(message)).ShouldStartWith($"Redis at a:1 {sentence}");

    [Fact]
    public void A_reason_within_a_failed_connection_is_found() =>
        Describe(new IOException("No connection", new IOException("NOAUTH Authentication required.")))
            .ShouldStartWith("Redis at a:1 refuses the password.");

    [Fact]
    public void A_time_out_is_told_with_its_length() =>
        Describe(new TimeoutException("...")).ShouldStartWith("Redis at a:1 does not answer within 500 ms.");

    private static string Describe(Exception exception)
    {
        RedisProblem.IsOne(exception).ShouldBeTrue();
        return RedisProblem.Describe("Redis at a:1", exception, TimeSpan.FromMilliseconds(500));
    }
}
