using Microsoft.Extensions.Configuration;
using OciRegistry.Server;

namespace OciRegistry.Tests.Server;

public sealed class ListeningTests
{
    [Theory]
    [InlineData("http://127.0.0.1:5000")]
    [InlineData("http://localhost:5000")]
    [InlineData("http://*:5000")]
    [InlineData("http://+:80")]
    [InlineData("http://[::1]:0")]
    [InlineData("https://0.0.0.0")]
    [InlineData("http://unix:/run/registry.sock")]
    [InlineData("http://127.0.0.1:5000; http://[::1]:5000 ;")]
    public void An_address_is_no_problem(string urls) => Problems(("urls", urls)).ShouldBeEmpty();

    [Theory]
    [InlineData("5000")]
    [InlineData("127.0.0.1:5000")]
    [InlineData("ftp://127.0.0.1")]
    [InlineData("http://127.0.0.1:99999")]
    [InlineData("http://127.0.0.1:5000/registry")]
    [InlineData("http://loclhost:5000")] // Kestrel: all addresses
    [InlineData("http://registry.example:5000")] // Kestrel: all addresses, whatever the name means
    public void What_is_no_address_is_a_problem(string url)
    {
        var problem = $"has '{url}', which is no address to listen on.";
        Problems(("urls", $"http://127.0.0.1:1;{url}")).ShouldHaveSingleItem().ShouldStartWith($"urls {problem}");
        Problems(("Kestrel:Endpoints:Main:Url", url)).ShouldHaveSingleItem()
            .ShouldStartWith($"Kestrel:Endpoints:Main:Url {problem}");
    }

    [Theory]
    [InlineData("http_ports")]
    [InlineData("https_ports")]
    public void What_is_no_port_is_a_problem(string key)
    {
        Problems((key, "80;8080")).ShouldBeEmpty();
        Problems((key, "80;http")).ShouldHaveSingleItem().ShouldStartWith($"{key} has 'http', which is no port.");
    }

    [Fact]
    public void What_Kestrel_does_not_read_is_a_problem()
    {
        Problems(("Kestrel:Limits:MaxConcurrentConnections", "100")).ShouldHaveSingleItem().ShouldStartWith(
            "Kestrel:Limits is no setting: nothing reads it. Leave it out.");
        Problems(("kestrel:endpointdefaults:Protocols", "Http1")).ShouldBeEmpty();
    }

    private static List<string> Problems((string Key, string Value) setting) =>
    [
        .. Listening.Problems(new ConfigurationBuilder()
            .AddInMemoryCollection([new(setting.Key, setting.Value)]).Build()),
    ];
}
