using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OciRegistry.Server.Settings;

namespace OciRegistry.Tests.PullThrough;

/// <summary>From the settings to the upstreams, and what is wrong with those that cannot be.</summary>
public sealed class PullThroughSettingsTests
{
    private const string Secret = "hunter2-secret";
    private const string Section = "OciRegistry:PullThrough:";

    private static readonly (string Name, string Value)[] Right =
    [
        ("Upstreams:0:Prefix", "hub"), ("Upstreams:0:Url", "https://registry-1.docker.io"),
        ("Upstreams:1:Prefix", "own"), ("Upstreams:1:Url", "https://registry.example.com:5000"),
    ];

    [Fact]
    public async Task Settings_reach_the_options()
    {
        var folder = Path.GetTempPath();
        using var certificates = new UpstreamCertificates();
        var file = certificates.Authority;
        var configuration = Configuration(
            ("SweepInterval", "00:30:00"), ("ReplicaWait", "00:00:05"), ("SpoolFolder", folder),
            ("Upstreams:0:Prefix", "hub"), ("Upstreams:0:Url", "https://registry-1.docker.io"),
            ("Upstreams:0:Namespaces:0", "docker.io"), ("Upstreams:0:Namespaces:1", "other.example:5000"),
            ("Upstreams:0:MirrorHosts:0", "*:5001"),
            ("Upstreams:0:Username", "somebody"), ("Upstreams:0:Password", Secret),
            ("Upstreams:0:TrustedRealms:0", "auth.example.com"),
            ("Upstreams:0:CertificateAuthority", file), ("Upstreams:0:ClientCertificate", file), ("Upstreams:0:ClientKey", file),
            ("Upstreams:0:AllowPrivateAddresses", "true"),
            ("Upstreams:0:Allow:0", "library/*"), ("Upstreams:0:Deny:0", "library/evil"),
            ("Upstreams:0:TagTtl", "00:01:00"), ("Upstreams:0:ContentTtl", "3.00:00:00"), ("Upstreams:0:MaxBytes", "10000000000"),
            ("Upstreams:0:AllowPush", "true"), ("Upstreams:0:Timeout", "00:00:05"),
            ("Upstreams:1:Prefix", "own"), ("Upstreams:1:Url", "https://registry.example.com"), ("Upstreams:1:RefreshToken", Secret));
        SettingsCheck.Problems(configuration).ShouldBeEmpty();
        await using var services = new ServiceCollection().AddLogging()
            .AddOciRegistry(registry => ServerConfiguration.Apply(configuration, registry)).BuildServiceProvider();

        var options = services.GetRequiredService<IOptions<OciRegistryOptions>>().Value.PullThrough;

        (options.SweepInterval, options.ReplicaWait, options.SpoolFolder)
            .ShouldBe((TimeSpan.FromMinutes(30), TimeSpan.FromSeconds(5), folder));
        options.Upstreams.Select(one => one.Prefix).ShouldBe(["hub", "own"]);
        options.Upstreams[1].RefreshToken.ShouldBe(Secret);
        var hub = options.Upstreams[0];
        hub.Url.ShouldBe("https://registry-1.docker.io");
        hub.Namespaces.ShouldBe(["docker.io", "other.example:5000"]);
        hub.MirrorHosts.ShouldBe(["*:5001"]);
        (hub.Username, hub.Password).ShouldBe(("somebody", Secret));
        hub.TrustedRealms.ShouldBe(["auth.example.com"]);
        (hub.CertificateAuthority, hub.ClientCertificate, hub.ClientKey).ShouldBe((file, file, file));
        hub.AllowPrivateAddresses.ShouldBeTrue();
        hub.Allow.ShouldBe(["library/*"]);
        hub.Deny.ShouldBe(["library/evil"]);
        (hub.TagTtl, hub.ContentTtl, hub.Timeout).ShouldBe((TimeSpan.FromMinutes(1), TimeSpan.FromDays(3), TimeSpan.FromSeconds(5)));
        hub.MaxBytes.ShouldBe(10_000_000_000);
        hub.AllowPush.ShouldBeTrue();
    }

    [Fact]
    public void What_is_right_is_no_problem() => SettingsCheck.Problems(Configuration(Right)).ShouldBeEmpty();

    [Theory]
    [InlineData("Upstreams:0:Prefix=Hub", "Upstreams:0:Prefix is 'Hub'.")]
    [InlineData("Upstreams:0:Prefix=hub/", "Upstreams:0:Prefix is 'hub/'.")]
    [InlineData("Upstreams:0:Prefix=own", "Upstreams:1:Prefix is 'own', which another upstream has.")]
    [InlineData("Upstreams:0:Url=registry-1.docker.io", "Upstreams:0:Url is 'registry-1.docker.io'.")]
    [InlineData("Upstreams:0:Url=ftp://example.com", "Upstreams:0:Url is 'ftp://example.com'.")]
    [InlineData("Upstreams:0:Url=https://example.com/?a=b", "Upstreams:0:Url is 'https://example.com/?a=b'.")]
    [InlineData("Upstreams:0:Url=https://example.com/A B", "Upstreams:0:Url is 'https://example.com/A B'.")]
    [InlineData("Upstreams:0:Url=https://somebody:hunter2-secret@example.com", "Upstreams:0:Url is '...@example.com'.")]
    [InlineData("Upstreams:0:Url=https://hunter2-secret@a@example.com", "Upstreams:0:Url is '...@example.com'.")]
    [InlineData("Upstreams:0:Url=http://example.com Upstreams:0:Token=hunter2-secret", "Upstreams:0:Url is http, over which ")]
    [InlineData("Upstreams:0:Url=http://10.0.0.1 Upstreams:0:RefreshToken=hunter2-secret", "Upstreams:0:Url is http, over which ")]
    [InlineData("Upstreams:0:Username=somebody", "Upstreams:0:Username and Password belong together.")]
    [InlineData("Upstreams:0:Password=hunter2-secret", "Upstreams:0:Username and Password belong together.")]
    [InlineData("Upstreams:0:Username=a:b Upstreams:0:Password=hunter2-secret", "Upstreams:0:Username has a colon, ")]
    [InlineData("Upstreams:0:Username=a Upstreams:0:Password=hunter2-secret Upstreams:0:Token=hunter2-secret", "Upstreams:0:Username, RefreshToken, Token and CredentialHelper are mutually exclusive.")]
    [InlineData("Upstreams:0:RefreshToken=hunter2-secret Upstreams:0:Token=hunter2-secret", "Upstreams:0:Username, RefreshToken, Token and CredentialHelper are mutually exclusive.")]
    [InlineData("Upstreams:0:RefreshToken=hunter2-secret Upstreams:0:CredentialHelper=/bin/sh", "Upstreams:0:Username, RefreshToken, Token and CredentialHelper are mutually exclusive.")]
    [InlineData("Upstreams:0:Token=hunter2-secret Upstreams:0:TokenFile=/etc/hostname", "Upstreams:0:Token and TokenFile are mutually exclusive.")]
    [InlineData("Upstreams:0:Username=a Upstreams:0:Password=hunter2-secret Upstreams:0:PasswordFile=/etc/hostname", "Upstreams:0:Password and PasswordFile are mutually exclusive.")]
    [InlineData("Upstreams:0:PasswordFile=/etc/hostname", "Upstreams:0:Username and Password belong together.")]
    [InlineData("Upstreams:0:CredentialHelper=no-such", "Upstreams:0:CredentialHelper is 'no-such', but the PATH has no docker-credential-no-such.")]
    [InlineData("Upstreams:0:CredentialHelper=/no/such", "Upstreams:0:CredentialHelper is '/no/such', which does not exist.")]
    [InlineData("Upstreams:0:CredentialTtl=00:00:09", "Upstreams:0:CredentialTtl is 00:00:09.")]
    [InlineData("Upstreams:0:Namespaces:0=https://docker.io", "Upstreams:0:'https://docker.io' in Namespaces or TrustedRealms is no host.")]
    [InlineData("Upstreams:0:Namespaces:0=docker.io/library", "Upstreams:0:'docker.io/library' in Namespaces or TrustedRealms is no host.")]
    [InlineData("Upstreams:0:TrustedRealms:0=a@b", "Upstreams:0:'a@b' in Namespaces or TrustedRealms is no host.")]
    [InlineData("Upstreams:0:MirrorHosts:0=http://a", "Upstreams:0:'http://a' in MirrorHosts is no host.")]
    [InlineData("Upstreams:0:MirrorHosts:0=*", "Upstreams:0:'*' in MirrorHosts is no host.")]
    [InlineData("Upstreams:0:Namespaces:0=registry.example.com:5000", "Upstreams:1: 'registry.example.com:5000' is another upstream's namespace already.")]
    [InlineData("Upstreams:0:MirrorHosts:0=a Upstreams:1:MirrorHosts:0=A", "Upstreams:1: 'A' is in another upstream's MirrorHosts already.")]
    [InlineData("Upstreams:0:TagTtl=-00:00:01", "Upstreams:0:TagTtl must not be negative.")]
    [InlineData("Upstreams:0:ContentTtl=00:00:59", "Upstreams:0:ContentTtl must be 00:01:00 or more.")]
    [InlineData("Upstreams:0:MaxBytes=0", "Upstreams:0:MaxBytes must be positive.")]
    [InlineData("Upstreams:0:Timeout=00:00:00", "Upstreams:0:Timeout is 00:00:00.")]
    [InlineData("Upstreams:0:Timeout=01:00:00", "Upstreams:0:Timeout is 01:00:00.")]
    [InlineData("Upstreams:0:CertificateAuthority=/no/such/file", "Upstreams:0:CertificateAuthority '/no/such/file': It cannot be read")]
    [InlineData("Upstreams:0:ClientKey=/dev/null", "Upstreams:0:ClientKey ")]
    [InlineData("SweepInterval=31.00:00:00", "SweepInterval must be positive, and 30 days at most.")]
    [InlineData("SweepInterval=00:00:00", "SweepInterval must be positive, and 30 days at most.")]
    [InlineData("ReplicaWait=00:01:01", "ReplicaWait must be from 00:00:00 to 00:01:00.")]
    [InlineData("ReplicaWait=-00:00:01", "ReplicaWait must be from 00:00:00 to 00:01:00.")]
    [InlineData("SpoolFolder=/no/such/folder", "SpoolFolder is '/no/such/folder', which is no folder.")]
    [InlineData("Upstreams:0:Pasword=hunter2-secret", "Upstreams:0:Pasword is no setting. Did you mean ")]
    public void What_cannot_be_is_a_problem_that_says_what_to_do_and_no_secret(string settings, string problem)
    {
        var changed = settings.Split(' ').Aggregate(
            new List<string>(),
            (all, part) => part.Contains('=', StringComparison.Ordinal) ? [.. all, part] : [.. all[..^1], $"{all[^1]} {part}"]);

        var found = SettingsCheck.Problems(Configuration([.. Right, .. changed.Select(one => (one.Split('=', 2)[0], one.Split('=', 2)[1]))]))
            .ShouldHaveSingleItem();

        found.ShouldStartWith(Section + problem);
        found.ShouldNotContain(Secret);
    }

    [Fact]
    public void Upstreams_with_different_paths_may_share_a_host() => SettingsCheck.Problems(Configuration(
        ("Upstreams:0:Prefix", "a"), ("Upstreams:0:Url", "https://example.com/team"), ("Upstreams:0:MirrorHosts:0", "*:5001"),
        ("Upstreams:1:Prefix", "b"), ("Upstreams:1:Url", "https://example.com/team/inner"), ("Upstreams:1:MirrorHosts:0", "*:5001"),
        ("Upstreams:2:Prefix", "c"), ("Upstreams:2:Url", "https://example.com"), ("Upstreams:2:MirrorHosts:0", "*:5001")))
        .ShouldBeEmpty();

    [Theory]
    [InlineData("http://127.0.0.1:5000")]
    [InlineData("http://[::1]:5000")]
    [InlineData("http://localhost:5000")]
    public void On_the_machine_itself_credentials_may_go_over_http(string url) =>
        SettingsCheck.Problems(Configuration(
            ("Upstreams:0:Prefix", "a"), ("Upstreams:0:Url", url), ("Upstreams:0:Token", Secret))).ShouldBeEmpty();

    [Fact]
    public void All_that_is_wrong_with_an_embedded_registry_is_told_at_once_and_no_secret()
    {
        using var services = new ServiceCollection().AddLogging()
            .AddOciRegistry(registry => registry.Configure(options =>
            {
                options.PullThrough.SweepInterval = TimeSpan.Zero;
                options.PullThrough.Upstreams.Add(new UpstreamOptions
                {
                    Prefix = "A",
                    Url = $"https://{Secret}@example.com",
                    Password = Secret,
                    RefreshToken = Secret,
                    Token = Secret,
                });
            }))
            .BuildServiceProvider();

        var problem = Should.Throw<OptionsValidationException>(() => services.GetRequiredService<IOptions<OciRegistryOptions>>().Value);

        problem.Failures.Count().ShouldBe(5);
        problem.Message.ShouldNotContain(Secret);
    }

    private static IConfigurationRoot Configuration(params (string Name, string Value)[] settings) =>
        new ConfigurationBuilder()
            .AddInMemoryCollection(settings.GroupBy(one => one.Name).ToDictionary(of => Section + of.Key, of => (string?)of.Last().Value))
            .Build();
}
