using Microsoft.Extensions.Configuration;
using OciRegistry.Server.Settings;
using OciRegistry.Tests.PullThrough;

namespace OciRegistry.Tests.Server;

/// <summary>A certificate authority says that somebody relies on TLS: without it, password and content would go in plain text.</summary>
public sealed class UnusedAuthorityTests
{
    private const string Azure = "Storage:AzureBlobs";
    private const string Upstream = "PullThrough:Upstreams:0";

    [Theory]
    [InlineData("Redis:CertificateAuthority", "Redis:Configuration has no ssl=true", "Redis:Configuration=a:1,password=hunter2")]
    [InlineData("Redis:CertificateAuthority", "Redis:Configuration:1 has no ssl=true",
        "Redis:Configuration:0=a,ssl=true", "Redis:Configuration:1=b", "Redis:Configuration:2=c,ssl=true")]
    [InlineData(Azure + ":CertificateAuthority", Azure + ":CertificateAuthority verifies nothing",
        Azure + ":ServiceUri=http://127.0.0.1:10000/a", Azure + ":AccountKey=c2VjcmV0")]
    [InlineData(Azure + ":CertificateAuthority", Azure + ":CertificateAuthority verifies nothing",
        Azure + ":ConnectionString=DefaultEndpointsProtocol=http;AccountName=a;AccountKey=c2VjcmV0;EndpointSuffix=example.com")]
    [InlineData(Upstream + ":CertificateAuthority", Upstream + ":CertificateAuthority verifies nothing",
        Upstream + ":Prefix=hub", Upstream + ":Url=http://127.0.0.1:5000")]
    public void It_is_refused_where_there_is_no_TLS(string setting, string problem, params string[] others)
    {
        using var certificates = new UpstreamCertificates();

        var found = SettingsCheck.Problems(Configuration([.. others, $"{setting}={certificates.Authority}"])).ShouldHaveSingleItem();

        found.ShouldStartWith($"OciRegistry:{problem}");
        found.ShouldNotContain("hunter2");
        found.ShouldNotContain("c2VjcmV0");
        SettingsCheck.Problems(Configuration(others)).ShouldBeEmpty();
    }

    private static IConfigurationRoot Configuration(params string[] settings) => new ConfigurationBuilder()
        .AddInMemoryCollection(settings.Select(one => one.Split('=', 2)).ToDictionary(one => $"OciRegistry:{one[0]}", one => (string?)one[1]))
        .Build();
}
