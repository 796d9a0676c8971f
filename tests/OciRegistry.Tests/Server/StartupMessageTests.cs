using OciRegistry.Server;

namespace OciRegistry.Tests.Server;

public sealed class StartupMessageTests
{
    [Theory]
    [InlineData("http://127.0.0.1:5000", "docker push 127.0.0.1:5000/alpine")]
    [InlineData("http://localhost:5001", "docker push localhost:5001/alpine")]
    [InlineData("http://[::]:5000", "docker push localhost:5000/alpine")]
    [InlineData("http://0.0.0.0:80", "docker push localhost:80/alpine")]
    [InlineData("http://[::1]:5000", "docker push localhost:5000/alpine")]
    [InlineData("https://10.1.2.3:443", "docker push 10.1.2.3:443/alpine")]
    [InlineData("http://10.1.2.3:5000", "docker://10.1.2.3:5000/alpine")] // docker would want https
    public void It_ends_with_lines_that_push_to_this_address(string url, string line)
    {
        var message = StartupMessage.For([url], [], "/data", isGuarded: false);

        message.ShouldContain($"Listening on {url}");
        message.ShouldContain("Storing in /data");
        message.ShouldContain($" {line}{Environment.NewLine}");
        message.ShouldNotContain("login");
    }

    [Theory]
    [InlineData("http://127.0.0.1:5000", "docker login 127.0.0.1:5000")]
    [InlineData("http://10.1.2.3:5000", "skopeo login --tls-verify=false 10.1.2.3:5000")]
    public void Where_one_has_to_log_in_it_says_how(string url, string line) =>
        StartupMessage.For([url], [], "/data", isGuarded: true).ShouldContain($" {line}{Environment.NewLine}");

    [Fact]
    public void A_socket_file_is_nothing_to_push_to() =>
        StartupMessage.For(["http://unix:/run/registry.sock"], [], "/data", isGuarded: true).ShouldNotContain("push");
}
